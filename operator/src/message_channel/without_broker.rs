//! A deleted MessageChannel whose MessageBroker is gone: its messages may be on the claim that the broker left behind. Pure.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use restante_crds::{FORCE_DELETE, MessageChannel};

use super::{deletion::Force, kept::Kept};
use crate::{
    message_broker::{ownership::is_claim_of, storage::may_hold_data},
    names,
};

/// What becomes of the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is kept, and why.
    Kept(Kept),
    /// It is let go, and what is told of that.
    LetGo(String),
}

/// Decides what becomes of the channel. `gone` says that the broker does not exist, `claim` is
/// what has the name of its claim.
pub(super) fn judge(
    channel: &MessageChannel,
    gone: &str,
    namespace: &str,
    claim: Option<&PersistentVolumeClaim>,
) -> Fate {
    let broker = &channel.spec.broker_ref.name;
    let name = names::claim(broker);
    if !is_its_store(claim, broker) {
        let note = format!("let go: {gone}, and there is no claim {name} that could hold messages");
        return Fate::LetGo(note);
    }
    let said = match Force::of(channel) {
        Some(Force::Annotation) => format!("its annotation {FORCE_DELETE}"),
        Some(Force::Policy) => "spec.deletionPolicy: Delete".into(),
        None => {
            let (gone, namespace) = (gone.into(), namespace.into());
            return Fate::Kept(Kept::OnClaim { gone, namespace, claim: name });
        }
    };
    Fate::LetGo(format!("let go, as {said} says; what it held stays on claim {name} as an orphan: {gone}"))
}

/// Whether what has the name of a broker's claim may hold the broker's store.
pub(super) fn is_its_store(claim: Option<&PersistentVolumeClaim>, broker: &str) -> bool {
    claim.is_some_and(|claim| is_claim_of(&claim.metadata, broker) && may_hold_data(claim))
}

#[cfg(test)]
mod tests {
    use restante_crds::message_channel::DeletionPolicy;
    use serde_json::{Value, json};

    use super::*;
    use crate::message_channel::validate::tests::open;

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

    fn judged(channel: &MessageChannel, claim: Option<&PersistentVolumeClaim>) -> Fate {
        judge(channel, "MessageBroker default does not exist", "mq", claim)
    }

    fn note(channel: &MessageChannel, claim: Option<&PersistentVolumeClaim>) -> String {
        match judged(channel, claim) {
            Fate::LetGo(note) => note,
            Fate::Kept(kept) => panic!("{kept:?}"),
        }
    }

    #[test]
    fn a_channel_is_kept_while_the_claim_may_hold_its_messages() {
        for policy in [DeletionPolicy::Block, DeletionPolicy::Drain] {
            let mut channel = open();
            channel.spec.deletion_policy = policy;
            for phase in ["Bound", "Lost"] {
                let Fate::Kept(kept) = judged(&channel, Some(&ours(phase))) else { panic!("let go") };
                assert_eq!(kept.reason(&channel), "BrokerNotFound");
                let message = kept.message(&channel);
                assert!(message.contains("`kubectl -n mq delete pvc data-restante-default-0`"), "{message}");
            }
        }
    }

    #[test]
    fn without_a_claim_of_ours_that_held_something_it_is_let_go() {
        let strangers = claim(json!({ "app": "postgres" }), "Bound");
        for claim in [None, Some(&strangers), Some(&ours("Pending"))] {
            let note = note(&open(), claim);
            assert!(note.contains("no claim data-restante-default-0"), "{note}");
        }
    }

    #[test]
    fn whoever_gives_the_messages_up_does_so_without_the_broker_as_well() {
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
