//! The status of a channel whose operator is uninstalled: where its messages are, and what to do. Pure.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use restante_crds::{MessageChannel, MessageChannelStatus, condition::kind};

use super::status::own;
use crate::{
    conditions::{Assertion, conditions},
    ownership::broker_of,
};

/// The reason of Ready of a channel whose operator is uninstalled.
const OPERATOR_UNINSTALLED: &str = "OperatorUninstalled";

/// The status of a channel that the operator of a namespace leaves behind: as it was, but not ready, and with the broker that
/// has it. That is what keeps the default operator from taking it, once the finalizer is off.
pub(crate) fn uninstalled(channel: &MessageChannel, operator: &str, now: Timestamp) -> MessageChannelStatus {
    let old = own(channel);
    let generation = channel.metadata.generation;
    let asserted = Assertion::fails(kind::READY, OPERATOR_UNINSTALLED, message(channel, operator));
    let mut told = old.conditions.clone();
    for condition in conditions(&old.conditions, generation, now, [asserted]) {
        match told.iter_mut().find(|one| one.type_ == condition.type_) {
            Some(place) => *place = condition,
            None => told.push(condition),
        }
    }
    let broker = broker_of(channel, operator);
    MessageChannelStatus { observed_generation: generation, conditions: told, broker, ..old }
}

fn message(channel: &MessageChannel, operator: &str) -> String {
    let uninstalled = format!(
        "the operator of namespace {operator} was uninstalled, and nobody looks after the channel and its broker: install it \
         again in {operator}, and its messages are where they were"
    );
    if channel.spec.broker_ref.namespace.is_some() {
        // No other may have it.
        return uninstalled;
    }
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    format!(
        "{uninstalled}; or give the channel to the default operator, without its messages, by `kubectl patch mc {name} -n \
         {namespace} --subresource=status --type=merge -p '{{\"status\":{{\"broker\":null}}}}'`"
    )
}

#[cfg(test)]
mod tests {
    use restante_crds::condition;
    use serde_json::json;

    use super::*;
    use crate::{
        finalizer,
        message_channel::{blocked::tests::programmed, validate::tests::channel},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_status_stays_as_it_was_but_for_ready_and_the_broker() {
        let mut channel = programmed();
        channel.metadata.finalizers = Some(vec![finalizer::of("old")]);
        let before = own(&channel);
        let status = uninstalled(&channel, "old", at(200));
        assert_eq!(status.broker.as_deref(), Some("old/default"));
        assert_eq!((&status.source, &status.destination), (&before.source, &before.destination));
        let kinds: Vec<_> = status.conditions.iter().map(|one| one.type_.as_str()).collect();
        assert_eq!(kinds, ["Accepted", "Programmed", "Ready"]);
        assert_eq!(status.conditions[..2], before.conditions[..2]);
        let ready = &status.conditions[2];
        assert_eq!((&*ready.status, &*ready.reason), ("False", "OperatorUninstalled"));
        let command = "`kubectl patch mc orders -n acme --subresource=status --type=merge -p \
                       '{\"status\":{\"broker\":null}}'`";
        assert!(ready.message.ends_with(command), "{}", ready.message);
        // Said once more it is no news.
        channel.status = Some(status.clone());
        assert_eq!(uninstalled(&channel, "old", at(300)), status);
    }

    #[test]
    fn a_channel_that_names_its_operator_is_not_offered_to_another() {
        let channel =
            channel(json!({ "brokerRef": { "namespace": "old" }, "access": { "anonymous": true } }));
        let status = uninstalled(&channel, "old", at(200));
        let ready = condition::find(&status.conditions, kind::READY).unwrap();
        assert!(!ready.message.contains("default operator"), "{}", ready.message);
    }
}
