//! Why the deletion of a channel is blocked, and the remedy. Pure.

use kube::ResourceExt;
use restante_crds::{FORCE_DELETE, FORCE_DELETE_VALUE, MessageChannel, message_channel::DeletionPolicy};
use restante_wire::ChannelStats;

use super::{
    blocked::DRAINING,
    deletion::{Force, PATIENCE, messages_of},
    validate::{BROKER_NOT_FOUND, BROKER_NOT_SERVED},
};

/// The limit of quoted characters of an annotation.
const SHOWN_MAX: usize = 40;

/// Why the deletion of a channel is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blocker {
    /// The channel has messages, with its counts if the broker returned them.
    NotEmpty(Option<ChannelStats>),
    /// The broker cannot be reached; the text says why.
    Unreachable(String),
    /// The operator cannot serve the broker, which may still run; the text says why.
    NotServed(String),
    /// The broker does not exist, but its claim does. `gone` is the text about the missing broker.
    OnClaim { gone: String, namespace: String, claim: String },
    /// The broker has another store than the channel was in, with a text about it.
    AnotherStore(String),
}

impl Blocker {
    /// The state of the channel.
    pub(super) fn what(&self) -> String {
        match self {
            Self::NotEmpty(None) => "the channel has messages".into(),
            Self::NotEmpty(Some(held)) if held.messages() == held.dead => {
                format!("the channel has {} and no other messages", dead_letters_of(held.dead))
            }
            Self::NotEmpty(Some(held)) if held.dead == 0 => {
                format!("the channel has {}", messages_of(held.messages()))
            }
            Self::NotEmpty(Some(held)) => {
                let (messages, dead) = (messages_of(held.messages()), dead_letters_of(held.dead));
                format!("the channel has {messages}, including {dead}")
            }
            Self::Unreachable(why) | Self::NotServed(why) | Self::AnotherStore(why) => why.clone(),
            Self::OnClaim { gone, claim, .. } => {
                format!("{gone}, but its claim {claim} still has the messages of the channel")
            }
        }
    }

    /// The reason of the condition DeletionBlocked. If only dead letters are left, receivers cannot empty the channel,
    /// with any policy. A draining channel refuses pushes until the end.
    pub(super) fn reason(&self, channel: &MessageChannel) -> &'static str {
        match self {
            Self::NotEmpty(Some(held)) if held.messages() == held.dead => "DeadLettersLeft",
            Self::NotEmpty(_) if channel.spec.deletion_policy == DeletionPolicy::Drain => DRAINING,
            Self::NotEmpty(_) => "NotEmpty",
            Self::Unreachable(_) => "BrokerUnreachable",
            Self::NotServed(_) => BROKER_NOT_SERVED,
            Self::OnClaim { .. } => BROKER_NOT_FOUND,
            Self::AnotherStore(_) => "StoreReplaced",
        }
    }

    /// The message of the condition: the state of the channel, and the remedy.
    pub(super) fn message(&self, channel: &MessageChannel) -> String {
        format!("{}: {}", self.what(), self.advice(channel))
    }

    pub(super) fn advice(&self, channel: &MessageChannel) -> String {
        let annotate = format!("annotate the channel with {FORCE_DELETE}={FORCE_DELETE_VALUE}");
        let remedy = match self.reason(channel) {
            BROKER_NOT_FOUND => self.remedy_on_claim(&annotate),
            "DeadLettersLeft" => format!("redrive them, or {annotate} to delete them"),
            "BrokerUnreachable" | BROKER_NOT_SERVED if Force::of(channel) == Some(Force::Annotation) => {
                format!(
                    "retrying; {} s after the deletion, or after the operator's start if that was later, the channel is released \
                     without its broker, as requested by the annotation {FORCE_DELETE}: its messages then stay in the broker's \
                     store as an orphan",
                    PATIENCE.as_secs()
                )
            }
            "BrokerUnreachable" | BROKER_NOT_SERVED => format!(
                "retrying; or {annotate} to release it without its broker: its messages then stay in the broker's store as an \
                 orphan"
            ),
            "StoreReplaced" => format!(
                "restore the earlier volume, or accept the new store, as described by the condition StoreReplaced of the \
                 MessageBroker; or {annotate} to release it and give up its messages in the earlier store"
            ),
            _ if channel.spec.paused => {
                format!("set spec.paused to false and receive them, or {annotate} to delete them")
            }
            _ => format!("receive them, or {annotate} to delete them"),
        };
        format!("{remedy}{}", ignored_annotation(channel))
    }

    fn remedy_on_claim(&self, annotate: &str) -> String {
        let Self::OnClaim { namespace, claim, .. } = self else { return String::new() };
        format!(
            "create the MessageBroker again and receive them; or delete them, together with the messages of every other channel \
             of that broker, with `kubectl -n {namespace} delete pvc {claim}`; or {annotate} to release it: its messages then \
             stay on the claim as an orphan"
        )
    }

    /// The counts of the channel, if its broker returned them.
    pub(super) fn held(&self) -> Option<&ChannelStats> {
        match self {
            Self::NotEmpty(held) => held.as_ref(),
            Self::Unreachable(_) | Self::NotServed(_) | Self::OnClaim { .. } | Self::AnotherStore(_) => None,
        }
    }
}

/// The note of an event about the condition DeletionBlocked. It contains no counts, which would soon be outdated.
pub(super) fn note(reason: &str) -> &'static str {
    match reason {
        DRAINING => {
            "the channel is being deleted: it accepts no more messages, and disappears when its messages are settled; see its \
             condition DeletionBlocked for their number"
        }
        "DeadLettersLeft" => {
            "the deletion of the channel is blocked, because it has only dead letters left: see its condition DeletionBlocked \
             for their number and the remedy"
        }
        "BrokerUnreachable" => {
            "the deletion of the channel is blocked, because its broker cannot be reached: see its condition DeletionBlocked for \
             the cause and the remedy"
        }
        BROKER_NOT_SERVED => {
            "the deletion of the channel is blocked, because the operator cannot serve its broker: see its condition \
             DeletionBlocked for the cause and the remedy"
        }
        BROKER_NOT_FOUND => {
            "the deletion of the channel is blocked, because its broker does not exist and the broker's claim still has its \
             messages: see its condition DeletionBlocked for the remedy"
        }
        "StoreReplaced" => {
            "the deletion of the channel is blocked, because the store of its broker was replaced: see its condition \
             DeletionBlocked for the remedy"
        }
        _ => {
            "the deletion of the channel is blocked until its messages are settled: see its condition DeletionBlocked for their \
             number and the remedy"
        }
    }
}

/// A note about an annotation with an invalid value.
fn ignored_annotation(channel: &MessageChannel) -> String {
    match channel.annotations().get(FORCE_DELETE) {
        Some(value) if value != FORCE_DELETE_VALUE => {
            let shown: String = value.chars().take(SHOWN_MAX).collect();
            format!(
                "; its annotation {FORCE_DELETE}={shown:?} is invalid and ignored: the only valid value is \"true\""
            )
        }
        _ => String::new(),
    }
}

fn dead_letters_of(count: u64) -> String {
    match count {
        1 => "1 dead letter".into(),
        count => format!("{count} dead letters"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::channel::validate::tests::open;

    pub(in crate::kinds::channel) fn holding(messages: u64, dead: u64) -> Blocker {
        let counts = json!({
            "uid": "00000000-0000-0000-0000-000000000001", "namespace": "acme", "name": "orders",
            "ready": messages - dead, "leased": 0, "delayed": 0, "dead": dead, "bytes": 9,
            "waitingReceivers": 0,
        });
        Blocker::NotEmpty(Some(serde_json::from_value(counts).unwrap()))
    }

    #[test]
    fn a_blocker_has_a_reason_and_a_message_with_advice() {
        let reported = |policy, messages, dead| {
            let mut channel = open();
            channel.spec.deletion_policy = policy;
            let blocker = holding(messages, dead);
            (blocker.reason(&channel), blocker.what())
        };
        let (block, drain) = (DeletionPolicy::Block, DeletionPolicy::Drain);
        assert_eq!(reported(block, 1, 0), ("NotEmpty", "the channel has 1 message".into()));
        let mixed = "the channel has 5 messages, including 2 dead letters";
        assert_eq!(reported(drain, 5, 2), ("Draining", mixed.into()));
        for policy in [block, drain] {
            let left = ("DeadLettersLeft", "the channel has 2 dead letters and no other messages".into());
            assert_eq!(reported(policy, 2, 2), left);
        }
        let away = Blocker::Unreachable("no pod of MessageBroker default runs".into());
        assert_eq!(away.reason(&open()), "BrokerUnreachable");
        assert!(away.message(&open()).contains("as an orphan"), "{}", away.message(&open()));
        let cut = Blocker::NotServed("the operator cannot serve MessageBroker default: NameTaken: x".into());
        assert_eq!(cut.reason(&open()), "BrokerNotServed");
        assert!(cut.message(&open()).contains("default: NameTaken: x: retrying"), "{}", cut.message(&open()));
    }

    #[test]
    fn the_advice_for_a_paused_channel_is_to_resume_it() {
        let mut channel = open();
        channel.spec.paused = true;
        let message = holding(3, 0).message(&channel);
        assert!(message.contains("set spec.paused to false"), "{message}");
    }

    #[test]
    fn an_invalid_annotation_is_named_with_its_value() {
        let message = |value: &str| {
            let mut channel = open();
            channel.metadata.annotations = Some([(FORCE_DELETE.to_owned(), value.to_owned())].into());
            holding(3, 0).message(&channel)
        };
        assert!(
            message("false")
                .ends_with("force-delete=\"false\" is invalid and ignored: the only valid value is \"true\"")
        );
        assert!(!message("true").contains("invalid"));
    }

    #[test]
    fn the_message_of_a_forced_deletion_names_its_deadline() {
        let mut channel = open();
        let away = Blocker::Unreachable("no pod of MessageBroker default runs".into());
        let reported = |channel: &MessageChannel| away.advice(channel);
        channel.metadata.annotations = Some([(FORCE_DELETE.to_owned(), "yes".to_owned())].into());
        assert!(reported(&channel).contains("invalid"), "{}", reported(&channel));
        channel.metadata.annotations = Some([(FORCE_DELETE.to_owned(), "true".to_owned())].into());
        assert!(reported(&channel).contains("30 s after the deletion"), "{}", reported(&channel));
        assert!(!reported(&channel).contains("invalid"), "{}", reported(&channel));
    }

    #[test]
    fn a_note_contains_no_number() {
        for reason in [
            "NotEmpty",
            "Draining",
            "DeadLettersLeft",
            "BrokerUnreachable",
            "BrokerNotServed",
            "BrokerNotFound",
            "StoreReplaced",
        ] {
            assert!(!note(reason).contains(char::is_numeric) && note(reason).len() < 1024);
        }
    }
}
