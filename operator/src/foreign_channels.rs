//! The MessageChannels that this operator leaves alone, counted: nothing is written to them, so that here alone it is told.

use std::{sync::Arc, time::Duration};

use kube::{core::DeserializeGuard, runtime::reflector::Store};
use restante_crds::MessageChannel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ownership::{CLUSTER_ROLE, Claims, Ownership};

/// Between two counts for the log. A count costs a look into memory.
const INTERVAL: Duration = Duration::from_secs(10);

/// MessageChannels that this operator does not serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForeignChannels {
    /// Those that name another operator's namespace, have another operator's finalizer, or are at another's broker.
    pub of_named_operators: i64,
    /// Those that belong to the default operator, which this one is not, or which does not exist.
    pub of_default_operator: i64,
}

impl ForeignChannels {
    /// Counts them.
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

    /// All of them.
    pub fn count(self) -> i64 {
        self.of_named_operators + self.of_default_operator
    }
}

/// Logs when there begin to be such channels, and when there are none any more, until told to stop.
pub async fn log_changes(
    ownership: &Ownership,
    channels: &Store<DeserializeGuard<MessageChannel>>,
    mut default_known: watch::Receiver<bool>,
    stop: &CancellationToken,
) {
    // Before that every channel that names no operator would be counted.
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
                "some MessageChannels are not this operator's and are left alone: those of other operators, and those \
                 without spec.brokerRef.namespace that are the default operator's, which ClusterRole {CLUSTER_ROLE} names"
            ),
            (1.., 0) => tracing::info!("every MessageChannel is this operator's"),
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
        let told_of = |broker: serde_json::Value, finalizers: &[&str], status: serde_json::Value| {
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
        let channel = |broker, finalizers: &[&str]| told_of(broker, finalizers, json!({}));
        let channels = [
            channel(json!({ "namespace": "mq" }), &[]),
            channel(json!({}), &["restante.dev/mq"]),
            channel(json!({ "namespace": "other" }), &[]),
            channel(json!({}), &["restante.dev/other"]),
            channel(json!({}), &[]),
            told_of(json!({}), &[], json!({ "broker": "other/main" })),
            told_of(json!({}), &[], json!({ "broker": "mq/main" })),
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
