//! Counts the MessageChannels that this operator does not serve. The operator writes nothing to them, so only its log
//! and its metrics show them.

use std::{sync::Arc, time::Duration};

use kube::{core::DeserializeGuard, runtime::reflector::Store};
use restante_crds::MessageChannel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ownership::{CLUSTER_ROLE, Claims, Ownership};

/// The interval between two counts for the log. A count only reads memory.
const INTERVAL: Duration = Duration::from_secs(10);

/// MessageChannels that this operator does not serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForeignChannels {
    /// Channels that name another operator's namespace, have another operator's finalizer, or are at another operator's
    /// broker.
    pub of_named_operators: i64,
    /// Channels of the default operator, if this is not the default operator.
    pub of_default_operator: i64,
}

impl ForeignChannels {
    pub fn among(ownership: &Ownership, channels: &[Arc<DeserializeGuard<MessageChannel>>]) -> Self {
        let mut counted = Self::default();
        for channel in channels.iter().filter(|channel| !ownership.is_ours(channel.as_ref())) {
            if Claims::from(channel.as_ref()).operator().is_some() {
                counted.of_named_operators += 1;
            } else {
                counted.of_default_operator += 1;
            }
        }
        counted
    }

    pub fn count(self) -> i64 {
        self.of_named_operators + self.of_default_operator
    }
}

/// Logs the first foreign channel, and that there is none any more, until `stop` is cancelled.
pub async fn log_changes(
    ownership: &Ownership,
    channels: &Store<DeserializeGuard<MessageChannel>>,
    mut default_known: watch::Receiver<bool>,
    stop: &CancellationToken,
) {
    // Until the default operator is known, every channel that names no operator would be counted.
    if default_known.wait_for(|known| *known).await.is_err() {
        return;
    }
    let mut before = ForeignChannels::default();
    loop {
        let now = ForeignChannels::among(ownership, &channels.state());
        let ForeignChannels { of_named_operators, of_default_operator } = now;
        match (before.count(), now.count()) {
            (0, 1..) => tracing::info!(
                other_operators = of_named_operators,
                default_operator = of_default_operator,
                "some MessageChannels belong to other operators and are ignored: channels that name another operator, \
                 and channels without spec.brokerRef.namespace, which belong to the default operator that ClusterRole \
                 {CLUSTER_ROLE} names"
            ),
            (1.., 0) => tracing::info!("every MessageChannel belongs to this operator"),
            _ => {}
        }
        before = now;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn channels_of_other_operators_and_of_none_are_counted_separately() {
        let message_of = |broker: serde_json::Value, finalizers: &[&str], status: serde_json::Value| {
            Arc::new(
                serde_json::from_value(json!({
                    "apiVersion": "restante.dev/v1alpha1",
                    "kind": "MessageChannel",
                    "metadata": { "name": "orders", "namespace": "acme", "finalizers": finalizers },
                    "spec": { "brokerRef": broker, "access": { "anonymous": true } },
                    "status": status,
                }))
                .unwrap(),
            )
        };
        let channel = |broker, finalizers: &[&str]| message_of(broker, finalizers, json!({}));
        let channels = [
            channel(json!({ "namespace": "mq" }), &[]),
            channel(json!({}), &["restante.dev/mq"]),
            channel(json!({ "namespace": "other" }), &[]),
            channel(json!({}), &["restante.dev/other"]),
            channel(json!({}), &[]),
            message_of(json!({}), &[], json!({ "broker": "other/main" })),
            message_of(json!({}), &[], json!({ "broker": "mq/main" })),
        ];
        let ownership = Ownership::new("mq".into());
        assert_eq!(
            ForeignChannels::among(&ownership, &channels),
            ForeignChannels { of_named_operators: 3, of_default_operator: 1 }
        );
        ownership.set_default_operator(Some("mq".into()));
        assert_eq!(
            ForeignChannels::among(&ownership, &channels),
            ForeignChannels { of_named_operators: 3, of_default_operator: 0 }
        );
    }
}
