//! A deleted MessageChannel whose MessageBroker does not exist. The broker's claim may still have its messages. Pure.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use restante_crds::{FORCE_DELETE, MessageChannel};

use super::{blocker::Blocker, deletion::Force};
use crate::{
    kinds::broker::{ownership::is_claim_of, storage::may_hold_data},
    names,
};

/// The fate of the deleted channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The deletion waits.
    Blocked(Blocker),
    /// The finalizer is removed, with this note for the event.
    Released(String),
}

/// Decides the fate of the channel. `gone` says that the broker does not exist; `claim` is the object that has the name
/// of the broker's claim.
pub(super) fn decide(
    channel: &MessageChannel,
    gone: &str,
    namespace: &str,
    claim: Option<&PersistentVolumeClaim>,
) -> Fate {
    let broker = &channel.spec.broker_ref.name;
    let name = names::claim(broker);
    if !may_hold_store(claim, broker) {
        let note = format!("released: {gone}, and there is no claim {name} that could contain messages");
        return Fate::Released(note);
    }
    let request = match Force::of(channel) {
        Some(Force::Annotation) => format!("the annotation {FORCE_DELETE}"),
        Some(Force::Policy) => "spec.deletionPolicy: Delete".into(),
        None => {
            let (gone, namespace) = (gone.into(), namespace.into());
            return Fate::Blocked(Blocker::OnClaim { gone, namespace, claim: name });
        }
    };
    Fate::Released(format!(
        "released, as requested by {request}; its messages stay on claim {name} as an orphan: {gone}"
    ))
}

/// Whether the object that has the name of a broker's claim may contain the broker's store.
pub(super) fn may_hold_store(claim: Option<&PersistentVolumeClaim>, broker: &str) -> bool {
    claim.is_some_and(|claim| is_claim_of(&claim.metadata, broker) && may_hold_data(claim))
}

#[cfg(test)]
mod tests {
    use restante_crds::message_channel::DeletionPolicy;
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::channel::validate::tests::open;

    fn claim(labels: Value, phase: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": { "name": "data-restante-default-0", "labels": labels },
            "spec": {},
            "status": { "phase": phase },
        }))
        .unwrap()
    }

    fn ours(phase: &str) -> PersistentVolumeClaim {
        claim(json!(names::selector("default")), phase)
    }

    fn decided(channel: &MessageChannel, claim: Option<&PersistentVolumeClaim>) -> Fate {
        decide(channel, "MessageBroker default does not exist", "mq", claim)
    }

    fn note(channel: &MessageChannel, claim: Option<&PersistentVolumeClaim>) -> String {
        match decided(channel, claim) {
            Fate::Released(note) => note,
            Fate::Blocked(blocker) => panic!("{blocker:?}"),
        }
    }

    #[test]
    fn a_deletion_is_blocked_while_the_claim_may_hold_messages() {
        for policy in [DeletionPolicy::Block, DeletionPolicy::Drain] {
            let mut channel = open();
            channel.spec.deletion_policy = policy;
            for phase in ["Bound", "Lost"] {
                let Fate::Blocked(blocker) = decided(&channel, Some(&ours(phase))) else {
                    panic!("released")
                };
                assert_eq!(blocker.reason(&channel), "BrokerNotFound");
                let message = blocker.message(&channel);
                assert!(message.contains("`kubectl -n mq delete pvc data-restante-default-0`"), "{message}");
            }
        }
    }

    #[test]
    fn without_a_claim_that_may_hold_messages_the_channel_is_released() {
        let strangers = claim(json!({ "app": "postgres" }), "Bound");
        for claim in [None, Some(&strangers), Some(&ours("Pending"))] {
            let note = note(&open(), claim);
            assert!(note.contains("no claim data-restante-default-0"), "{note}");
        }
    }

    #[test]
    fn a_forced_deletion_releases_the_channel_without_its_broker() {
        let mut by_policy = open();
        by_policy.spec.deletion_policy = DeletionPolicy::Delete;
        let mut by_force = open();
        by_force.metadata.annotations = Some([(FORCE_DELETE.to_owned(), "true".to_owned())].into());
        for (channel, says) in [(by_policy, "spec.deletionPolicy"), (by_force, "restante.dev/force-delete")] {
            let note = note(&channel, Some(&ours("Bound")));
            assert!(note.contains(says) && note.contains("data-restante-default-0 as an orphan"), "{note}");
        }
    }
}
