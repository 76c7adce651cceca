//! The status of a deleted channel that is kept: why, what to do, and what is in it. Pure.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use restante_crds::{
    FORCE_DELETE, FORCE_DELETE_VALUE, MessageChannel, MessageChannelStatus,
    condition::{self, kind},
    message_channel::DeletionPolicy,
};
use restante_wire::ChannelStats;

use super::{
    deletion::{Force, PATIENCE, messages_of},
    dereference::Facts,
    status::own,
};
use crate::{
    conditions::{Assertion, conditions, is_true},
    fleet::{State, backlog::rounded},
};

/// The reason of Ready of a deleted channel that takes no more messages.
const DRAINING: &str = "Draining";
/// The reason of Ready of a deleted channel that goes on until it is empty.
pub(crate) const DELETING: &str = "Deleting";
/// Characters of a foreign annotation that are repeated.
const SHOWN_MAX: usize = 40;

/// Why a channel is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// It holds messages: these, if the broker could say.
    NotEmpty(Option<ChannelStats>),
    /// Its broker cannot be asked, and why.
    Away(String),
}

impl Kept {
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
            Self::Away(why) => why.clone(),
        }
    }

    /// The reason of the condition DeletionBlocked. With nothing left but dead letters, receivers can do no more for a
    /// channel, whatever its policy; while it drains, pushes are refused to the end.
    fn reason(&self, channel: &MessageChannel) -> &'static str {
        match self {
            Self::NotEmpty(Some(held)) if held.messages() == held.dead => "DeadLettersLeft",
            Self::NotEmpty(_) if channel.spec.deletion_policy == DeletionPolicy::Drain => DRAINING,
            Self::NotEmpty(_) => "NotEmpty",
            Self::Away(_) => "BrokerUnreachable",
        }
    }

    /// What the condition says: what there is, and what to do.
    fn message(&self, channel: &MessageChannel) -> String {
        let annotate = format!("annotate the channel with {FORCE_DELETE}={FORCE_DELETE_VALUE}");
        let remedy = match self.reason(channel) {
            "DeadLettersLeft" => format!("redrive them, or {annotate} to delete them"),
            "BrokerUnreachable" if Force::of(channel) == Some(Force::Annotation) => format!(
                "tried again, and then let go without its broker, where its messages stay as an orphan, {} s after the deletion",
                PATIENCE.as_secs()
            ),
            "BrokerUnreachable" => format!(
                "tried again soon; or {annotate} to let it go without its broker, where its messages then stay as an orphan"
            ),
            _ if channel.spec.paused => {
                format!("set spec.paused to false and receive them, or {annotate} to delete them")
            }
            _ => format!("receive them, or {annotate} to delete them"),
        };
        format!("{}: {remedy}{}", self.what(), ignored_annotation(channel))
    }

    fn held(&self) -> Option<&ChannelStats> {
        match self {
            Self::NotEmpty(held) => held.as_ref(),
            Self::Away(_) => None,
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

/// The status of a channel that is deleted and that its broker keeps: as it was, and why it is still there. One that
/// drains is not ready any more, as nothing can be sent to it. The backlog is what the broker said when it kept it: the last
/// look may have been before the message came that keeps it.
pub(super) fn deletion_blocked(
    channel: &MessageChannel,
    facts: &Facts,
    kept: &Kept,
    now: Timestamp,
) -> MessageChannelStatus {
    let old = own(channel);
    let generation = channel.metadata.generation;
    let held = kept.held().map(rounded);
    let backlog = held.or_else(|| facts.backlog.clone()).or_else(|| old.backlog.clone());
    let drains = channel.spec.deletion_policy == DeletionPolicy::Drain;
    // The deletion itself is a new generation. Unless the channel drains nothing changes for the broker by it, and it need
    // not be told.
    let is_there = !drains
        || facts.outcome.as_ref().is_some_and(|outcome| {
            Some(outcome.generation) == generation && outcome.state == State::Programmed
        });
    let mut told = old.conditions.clone();
    // What is deleted is not waited for.
    told.retain(|condition| condition.type_ != kind::STALLED);
    if is_there && is_true(&told, kind::PROGRAMMED) {
        told.iter_mut().for_each(|condition| condition.observed_generation = generation);
    }
    let going = || {
        let message =
            "the channel is deleted and goes when it is empty; until then messages can be sent and received";
        Assertion::holds(kind::READY, DELETING, message)
    };
    let mut asserted =
        vec![Assertion::holds(kind::DELETION_BLOCKED, kept.reason(channel), kept.message(channel))];
    if drains {
        let message =
            "the channel is deleted and drains: pushes are refused with 410, messages can be received";
        asserted.push(Assertion::fails(kind::READY, DRAINING, message));
    } else if condition::find(&old.conditions, kind::READY).is_some_and(|ready| ready.reason == DRAINING) {
        // Somebody thought better of it while it drained.
        asserted.push(match condition::find(&told, kind::PROGRAMMED) {
            Some(programmed) if programmed.status != "True" => {
                Assertion::fails(kind::READY, &programmed.reason, programmed.message.clone())
            }
            _ => going(),
        });
    } else if is_true(&told, kind::READY) {
        asserted.push(going());
    }
    for condition in conditions(&old.conditions, generation, now, asserted) {
        // In its place: a list in another order would be news.
        match told.iter_mut().find(|one| one.type_ == condition.type_) {
            Some(place) => *place = condition,
            None => told.push(condition),
        }
    }
    MessageChannelStatus { observed_generation: generation, conditions: told, backlog, ..old }
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
    use crate::{
        fleet::Pending,
        message_channel::{
            build,
            validate::{
                tests::{facts, open},
                validate,
            },
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    pub(in crate::message_channel) fn holding(messages: u64, dead: u64) -> Kept {
        let counts = json!({
            "uid": "00000000-0000-0000-0000-000000000001", "namespace": "acme", "name": "orders",
            "ready": messages - dead, "leased": 0, "delayed": 0, "dead": dead, "bytes": 9,
            "waitingReceivers": 0,
        });
        Kept::NotEmpty(Some(serde_json::from_value(counts).unwrap()))
    }

    pub(in crate::message_channel) fn programmed() -> MessageChannel {
        let mut channel = open();
        let facts = facts(3, State::Programmed);
        channel.status = Some(build::status(&channel, &facts, &validate(&channel, &facts), None, at(100)));
        channel.metadata.generation = Some(4);
        channel
    }

    fn told<'a>(status: &'a MessageChannelStatus, kind: &str) -> (&'a str, &'a str) {
        let condition = condition::find(&status.conditions, kind).unwrap();
        (&condition.status, &condition.reason)
    }

    #[test]
    fn a_kept_channel_goes_on_says_that_it_is_deleted_and_shows_what_keeps_it() {
        let mut channel = programmed();
        let facts = facts(3, State::Programmed);
        let kept = holding(5, 2);
        let blocked = deletion_blocked(&channel, &facts, &kept, at(200));
        assert_eq!(told(&blocked, kind::READY), ("True", "Deleting"));
        assert_eq!(told(&blocked, kind::DELETION_BLOCKED), ("True", "NotEmpty"));
        let backlog = blocked.backlog.clone().unwrap();
        assert_eq!((backlog.messages, backlog.dead), (3, 2));
        channel.status = Some(blocked.clone());
        assert_eq!(deletion_blocked(&channel, &facts, &kept, at(300)), blocked);
        // A broker that cannot be asked says nothing new of what it holds.
        let away = deletion_blocked(&channel, &facts, &Kept::Away("gone".into()), at(300));
        assert_eq!(away.backlog, blocked.backlog);
    }

    #[test]
    fn a_channel_that_was_not_ready_becomes_so_by_no_deletion() {
        let mut channel = programmed();
        let status = channel.status.as_mut().unwrap();
        let ready = status.conditions.iter_mut().find(|one| one.type_ == kind::READY).unwrap();
        (ready.status, ready.reason) = ("False".into(), "BrokerUnreachable".into());
        let blocked = deletion_blocked(&channel, &facts(3, State::Programmed), &holding(1, 0), at(200));
        assert_eq!(told(&blocked, kind::READY), ("False", "BrokerUnreachable"));
    }

    #[test]
    fn a_channel_that_drains_is_not_ready_and_says_when_its_broker_knows() {
        let mut channel = programmed();
        channel.spec.deletion_policy = DeletionPolicy::Drain;
        let blocked = |generation| {
            deletion_blocked(&channel, &facts(generation, State::Programmed), &holding(5, 0), at(200))
        };
        let observed = |status: &MessageChannelStatus| {
            condition::find(&status.conditions, kind::PROGRAMMED).unwrap().observed_generation
        };
        assert_eq!(told(&blocked(3), kind::READY), ("False", "Draining"));
        assert_eq!((observed(&blocked(3)), observed(&blocked(4))), (Some(3), Some(4)));
        let kinds: Vec<_> = blocked(4).conditions.iter().map(|one| one.type_.clone()).collect();
        assert_eq!(kinds, ["Accepted", "Programmed", "Ready", "DeletionBlocked"]);

        // Whoever sets the policy to Block instead has the channel as it was.
        channel.status = Some(blocked(4));
        channel.spec.deletion_policy = DeletionPolicy::Block;
        channel.metadata.generation = Some(5);
        let open_again = deletion_blocked(&channel, &facts(5, State::Programmed), &holding(5, 0), at(300));
        assert_eq!(told(&open_again, kind::READY), ("True", "Deleting"));
        // It is as ready as it was programmed.
        let status = channel.status.as_mut().unwrap();
        let programmed = status.conditions.iter_mut().find(|one| one.type_ == kind::PROGRAMMED).unwrap();
        (programmed.status, programmed.reason) = ("False".into(), "BrokerUnreachable".into());
        let unreachable = facts(5, State::Pending(Pending::NoPod));
        let as_it_was = deletion_blocked(&channel, &unreachable, &Kept::Away(String::new()), at(300));
        assert_eq!(told(&as_it_was, kind::READY), ("False", "BrokerUnreachable"));
    }

    #[test]
    fn what_keeps_a_channel_is_told_with_what_to_do() {
        let told = |policy, messages, dead| {
            let mut channel = open();
            channel.spec.deletion_policy = policy;
            let kept = holding(messages, dead);
            (kept.reason(&channel), kept.what())
        };
        let (block, drain) = (DeletionPolicy::Block, DeletionPolicy::Drain);
        assert_eq!(told(block, 1, 0), ("NotEmpty", "the channel holds 1 message".into()));
        let mixed = "the channel holds 5 messages, 2 dead letters among them";
        assert_eq!(told(drain, 5, 2), ("Draining", mixed.into()));
        for policy in [block, drain] {
            let left = ("DeadLettersLeft", "the channel holds 2 dead letters, and nothing else".into());
            assert_eq!(told(policy, 2, 2), left);
        }
        let away = Kept::Away("no pod of MessageBroker default runs".into());
        assert_eq!(away.reason(&open()), "BrokerUnreachable");
        assert!(away.message(&open()).contains("stay as an orphan"), "{}", away.message(&open()));
    }

    #[test]
    fn a_paused_channel_says_that_nobody_can_empty_it() {
        let mut channel = open();
        channel.spec.paused = true;
        let message = holding(3, 0).message(&channel);
        assert!(message.contains("set spec.paused to false"), "{message}");
    }

    #[test]
    fn an_annotation_that_means_nothing_is_named_with_its_value() {
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
    fn a_note_never_counts() {
        for reason in ["NotEmpty", "Draining", "DeadLettersLeft", "BrokerUnreachable"] {
            assert!(!note(reason).contains(char::is_numeric) && note(reason).len() < 1024);
        }
    }
}
