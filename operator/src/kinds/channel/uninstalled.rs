//! The status of a channel whose operator is uninstalled: the location of its messages, and what to do. Pure.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use restante_crds::{MessageChannel, MessageChannelStatus, condition::kind};

use crate::{
    ownership::broker_of,
    reconcile::status::own,
    shared::conditions::{Assertion, conditions, replace},
};

/// The reason of Ready of channels and brokers whose operator is uninstalled.
pub(crate) const OPERATOR_UNINSTALLED: &str = "OperatorUninstalled";

/// The last status by the operator: unchanged, except that Ready is False and the broker is named. The name of the
/// broker prevents the default operator from taking over the channel once the finalizer is removed.
pub(crate) fn uninstalled(channel: &MessageChannel, operator: &str, now: Timestamp) -> MessageChannelStatus {
    let old = own(channel);
    let generation = channel.metadata.generation;
    let asserted = Assertion::fails(kind::READY, OPERATOR_UNINSTALLED, message(channel, operator));
    let mut merged = old.conditions.clone();
    for condition in conditions(&old.conditions, generation, now, [asserted]) {
        replace(&mut merged, condition);
    }
    let broker = broker_of(channel, operator);
    MessageChannelStatus { observed_generation: generation, conditions: merged, broker, ..old }
}

fn message(channel: &MessageChannel, operator: &str) -> String {
    let uninstalled = format!(
        "the operator of namespace {operator} was uninstalled, and no operator manages the channel and its broker: install it \
         again in {operator}; the messages of the channel are still there"
    );
    if channel.spec.broker_ref.namespace.is_some() {
        // No other operator may take over the channel.
        return uninstalled;
    }
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    format!(
        "{uninstalled}; or give the channel to the default operator, without its messages, with `kubectl patch mc {name} -n \
         {namespace} --subresource=status --type=merge -p '{{\"status\":{{\"broker\":null}}}}'`"
    )
}

/// The note about a channel whose deletion waited for its messages until its operator was uninstalled. `None` for any
/// other.
pub(crate) fn orphaned(channel: &MessageChannel, operator: &str) -> Option<String> {
    channel.metadata.deletion_timestamp.as_ref()?;
    let backlog = channel.status.as_ref().and_then(|status| status.backlog.as_ref());
    let held = match backlog {
        Some(backlog) => format!(
            "its status shows {} and {}",
            counted(backlog.messages, "message"),
            counted(backlog.dead, "dead letter")
        ),
        None => "its status does not show how many messages it had".into(),
    };
    let store = match broker_of(channel, operator) {
        Some(broker) => format!("its messages stay in the store of MessageBroker {broker} as an orphan"),
        None => "no MessageBroker had the channel".into(),
    };
    Some(format!(
        "the deletion of the channel is completed because its operator is uninstalled: {held}; {store}"
    ))
}

fn counted(number: i64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use restante_crds::condition;
    use serde_json::json;

    use super::*;
    use crate::{
        kinds::channel::{blocked::tests::programmed, validate::tests::channel},
        shared::finalizer,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_uninstall_changes_only_ready_and_the_broker() {
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
        // A second time, nothing changes.
        channel.status = Some(status.clone());
        assert_eq!(uninstalled(&channel, "old", at(300)), status);
    }

    #[test]
    fn a_blocked_deletion_that_ends_with_the_operator_is_reported() {
        let mut channel = programmed();
        channel.metadata.finalizers = Some(vec![finalizer::of("old")]);
        assert_eq!(orphaned(&channel, "old"), None);
        channel.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let backlog = json!({ "messages": 3, "ready": 3, "leased": 0, "dead": 1, "waiting": 0 });
        channel.status.as_mut().unwrap().backlog = serde_json::from_value(backlog).unwrap();
        assert_eq!(
            orphaned(&channel, "old").unwrap(),
            "the deletion of the channel is completed because its operator is uninstalled: its status shows 3 messages and 1 \
             dead letter; its messages stay in the store of MessageBroker old/default as an orphan"
        );
        channel.status.as_mut().unwrap().backlog = None;
        assert!(orphaned(&channel, "old").unwrap().contains("does not show how many"));
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
