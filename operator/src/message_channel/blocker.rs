//! Why a deleted channel is blocker, and what to do. Pure.

use kube::ResourceExt;
use restante_crds::{FORCE_DELETE, FORCE_DELETE_VALUE, MessageChannel, message_channel::DeletionPolicy};
use restante_wire::ChannelStats;

use super::{
    blocked::DRAINING,
    deletion::{Force, PATIENCE, messages_of},
    validate::{BROKER_NOT_FOUND, BROKER_NOT_SERVED},
};

/// Characters of a foreign annotation that are repeated.
const SHOWN_MAX: usize = 40;

/// Why a channel is blocker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blocker {
    /// It holds messages: these, if the broker could say.
    NotEmpty(Option<ChannelStats>),
    /// Its broker cannot be asked, and why.
    Unreachable(String),
    /// The operator cannot serve its broker, which may run all the same, and why.
    NotServed(String),
    /// Its broker is gone, in words, and the claim of this name, in this namespace, is not.
    OnClaim { gone: String, namespace: String, claim: String },
    /// Its broker has another store than the channel was in; what to say.
    AnotherStore(String),
}

impl Blocker {
    /// What there is.
    pub(super) fn what(&self) -> String {
        match self {
            Self::NotEmpty(None) => "the channel holds messages".into(),
            Self::NotEmpty(Some(held)) if held.messages() == held.dead => {
                format!("the channel holds {}, and nothing else", dead_letters_of(held.dead))
            }
            Self::NotEmpty(Some(held)) if held.dead == 0 => {
                format!("the channel holds {}", messages_of(held.messages()))
            }
            Self::NotEmpty(Some(held)) => {
                let (messages, dead) = (messages_of(held.messages()), dead_letters_of(held.dead));
                format!("the channel holds {messages}, {dead} among them")
            }
            Self::Unreachable(why) | Self::NotServed(why) | Self::AnotherStore(why) => why.clone(),
            Self::OnClaim { gone, claim, .. } => {
                format!("{gone}, and claim {claim} there still has the messages that the channel held")
            }
        }
    }

    /// The reason of the condition DeletionBlocked. With nothing left but dead letters, receivers can do no more for a
    /// channel, whatever its policy; while it drains, pushes are refused to the end.
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

    /// What the condition says: what there is, and what to do.
    pub(super) fn message(&self, channel: &MessageChannel) -> String {
        format!("{}: {}", self.what(), self.advice(channel))
    }

    /// What to do.
    pub(super) fn advice(&self, channel: &MessageChannel) -> String {
        let annotate = format!("annotate the channel with {FORCE_DELETE}={FORCE_DELETE_VALUE}");
        let remedy = match self.reason(channel) {
            BROKER_NOT_FOUND => self.remedy_on_claim(&annotate),
            "DeadLettersLeft" => format!("redrive them, or {annotate} to delete them"),
            "BrokerUnreachable" | BROKER_NOT_SERVED if Force::of(channel) == Some(Force::Annotation) => {
                format!(
                    "tried again, and {} s after the deletion, or after the operator's start if that was later, let go without \
                     its broker, as the annotation {FORCE_DELETE} says: its messages then stay in the broker's store as an \
                     orphan",
                    PATIENCE.as_secs()
                )
            }
            "BrokerUnreachable" | BROKER_NOT_SERVED => format!(
                "tried again soon; or {annotate} to let it go without its broker, in whose store its messages then stay as \
                 an orphan"
            ),
            "StoreReplaced" => format!(
                "put the earlier volume back, or accept this store, both as the condition StoreReplaced of the MessageBroker \
                 says; or {annotate} to let it go, whatever the earlier store holds"
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
            "create the MessageBroker again, and the channel goes when they are received; or delete them, with those of every \
             other channel of that broker, by `kubectl -n {namespace} delete pvc {claim}`; or {annotate} to let it go, and they \
             stay there as an orphan"
        )
    }

    /// What it holds, if its broker said so.
    pub(super) fn held(&self) -> Option<&ChannelStats> {
        match self {
            Self::NotEmpty(held) => held.as_ref(),
            Self::Unreachable(_) | Self::NotServed(_) | Self::OnClaim { .. } | Self::AnotherStore(_) => None,
        }
    }
}

/// What an event says of a condition DeletionBlocked. Not how many messages there are, which is another number soon.
pub(super) fn note(reason: &str) -> &'static str {
    match reason {
        DRAINING => {
            "the channel is deleted, takes no more messages and goes when those in it are settled: its condition \
             DeletionBlocked says how many there are"
        }
        "DeadLettersLeft" => {
            "the channel is deleted and stays, as it holds dead letters, and nothing else: its condition DeletionBlocked says \
             how many, and what to do"
        }
        "BrokerUnreachable" => {
            "the channel is deleted and stays, as its broker cannot be asked: its condition DeletionBlocked says why, and what \
             to do"
        }
        BROKER_NOT_SERVED => {
            "the channel is deleted and stays, as the operator cannot serve its broker: its condition DeletionBlocked says why, \
             and what to do"
        }
        BROKER_NOT_FOUND => {
            "the channel is deleted and stays, as its broker does not exist and the broker's claim still has its messages: its \
             condition DeletionBlocked says what to do"
        }
        "StoreReplaced" => {
            "the channel is deleted and stays, as its broker shows another store than the channel was in: its condition \
             DeletionBlocked says what to do"
        }
        _ => {
            "the channel is deleted and stays until the messages in it are settled: its condition DeletionBlocked says how many \
             there are, and what to do"
        }
    }
}

/// That an annotation was given a value that means nothing.
fn ignored_annotation(channel: &MessageChannel) -> String {
    match channel.annotations().get(FORCE_DELETE) {
        Some(value) if value != FORCE_DELETE_VALUE => {
            let shown: String = value.chars().take(SHOWN_MAX).collect();
            format!("; its annotation {FORCE_DELETE} is {shown:?}, which means nothing: only \"true\" does")
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
    use crate::message_channel::validate::tests::open;

    pub(in crate::message_channel) fn holding(messages: u64, dead: u64) -> Blocker {
        let counts = json!({
            "uid": "00000000-0000-0000-0000-000000000001", "namespace": "acme", "name": "orders",
            "ready": messages - dead, "leased": 0, "delayed": 0, "dead": dead, "bytes": 9,
            "waitingReceivers": 0,
        });
        Blocker::NotEmpty(Some(serde_json::from_value(counts).unwrap()))
    }

    #[test]
    fn a_blocker_has_a_reason_and_a_message_with_advice() {
        let told = |policy, messages, dead| {
            let mut channel = open();
            channel.spec.deletion_policy = policy;
            let blocker = holding(messages, dead);
            (blocker.reason(&channel), blocker.what())
        };
        let (block, drain) = (DeletionPolicy::Block, DeletionPolicy::Drain);
        assert_eq!(told(block, 1, 0), ("NotEmpty", "the channel holds 1 message".into()));
        let mixed = "the channel holds 5 messages, 2 dead letters among them";
        assert_eq!(told(drain, 5, 2), ("Draining", mixed.into()));
        for policy in [block, drain] {
            let left = ("DeadLettersLeft", "the channel holds 2 dead letters, and nothing else".into());
            assert_eq!(told(policy, 2, 2), left);
        }
        let away = Blocker::Unreachable("no pod of MessageBroker default runs".into());
        assert_eq!(away.reason(&open()), "BrokerUnreachable");
        assert!(away.message(&open()).contains("stay as an orphan"), "{}", away.message(&open()));
        let cut = Blocker::NotServed("the operator cannot serve MessageBroker default: NameTaken: x".into());
        assert_eq!(cut.reason(&open()), "BrokerNotServed");
        assert!(
            cut.message(&open()).contains("default: NameTaken: x: tried again soon"),
            "{}",
            cut.message(&open())
        );
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
            message("false").ends_with("force-delete is \"false\", which means nothing: only \"true\" does")
        );
        assert!(!message("true").contains("means nothing"));
    }

    #[test]
    fn the_message_of_a_forced_deletion_names_its_deadline() {
        let mut channel = open();
        let away = Blocker::Unreachable("no pod of MessageBroker default runs".into());
        let told = |channel: &MessageChannel| away.advice(channel);
        channel.metadata.annotations = Some([(FORCE_DELETE.to_owned(), "yes".to_owned())].into());
        assert!(told(&channel).contains("means nothing"), "{}", told(&channel));
        channel.metadata.annotations = Some([(FORCE_DELETE.to_owned(), "true".to_owned())].into());
        assert!(told(&channel).contains("30 s after the deletion"), "{}", told(&channel));
        assert!(!told(&channel).contains("means nothing"), "{}", told(&channel));
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
