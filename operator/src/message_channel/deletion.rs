//! What to do with a deleted MessageChannel, and what to say of one that its broker keeps. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, runtime::events::EventType};
use restante_crds::{FORCE_DELETE, MessageChannel, MessageChannelStatus, message_channel::DeletionPolicy};
use uuid::Uuid;

use super::dereference::{BrokerState, Facts};
use crate::{finalizer, fleet::Remaining};

/// What to do with a deleted channel. Decided without asking anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// There is nothing to clean up.
    Nothing,
    /// There is no broker to ask.
    LetGo(String),
    /// The broker comes up in a moment.
    Wait,
    /// Ask the broker.
    Delete { uid: Uuid, force: Option<Force> },
}

/// Who says that a channel goes with its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// The annotation: somebody gave them up.
    Annotation,
    /// `deletionPolicy: Delete`.
    Policy,
}

impl Force {
    pub(super) fn of(channel: &MessageChannel) -> Option<Self> {
        if channel.annotations().contains_key(FORCE_DELETE) {
            Some(Self::Annotation)
        } else {
            (channel.spec.deletion_policy == DeletionPolicy::Delete).then_some(Self::Policy)
        }
    }

    /// What `kubectl describe` shows when messages went.
    pub(super) fn event(self, messages: u64) -> (EventType, &'static str, String) {
        let messages = messages_of(messages);
        match self {
            Self::Annotation => (
                EventType::Warning,
                "ForceDeleted",
                format!("deleted with {messages}, as the annotation {FORCE_DELETE} says"),
            ),
            Self::Policy => (
                EventType::Normal,
                "DeletedWithMessages",
                format!("deleted with {messages}, as spec.deletionPolicy: Delete says"),
            ),
        }
    }
}

pub(super) fn plan(channel: &MessageChannel, facts: &Facts) -> Plan {
    if !finalizer::is_on(&channel.metadata) {
        return Plan::Nothing;
    }
    let Some(uid) = channel.metadata.uid.as_deref().and_then(|uid| uid.parse().ok()) else {
        return Plan::LetGo("the resource has no UID".into());
    };
    match &facts.broker {
        BrokerState::NotFound(why) => Plan::LetGo(why.clone()),
        BrokerState::Starting => Plan::Wait,
        BrokerState::Served { .. } => Plan::Delete { uid, force: Force::of(channel) },
    }
}

/// Why a broker keeps a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// The reason of the condition DeletionBlocked.
    pub(super) reason: &'static str,
    /// What there is.
    pub(super) what: String,
    /// What to do.
    pub(super) remedy: String,
}

impl Kept {
    /// A channel that is not empty. With nothing left but dead letters, receivers can do no more for it, whatever its
    /// policy; while it drains, pushes are refused to the end.
    pub(super) fn not_empty(channel: &MessageChannel, remaining: Remaining) -> Self {
        let Remaining { messages, dead } = remaining;
        let drains = channel.spec.deletion_policy == DeletionPolicy::Drain;
        let delete = format!("annotate the channel with {FORCE_DELETE} to delete them");
        if messages <= dead {
            return Self {
                reason: "DeadLettersLeft",
                what: format!("the channel holds {}, and nothing else", dead_letters_of(dead)),
                remedy: format!("redrive them, or {delete}"),
            };
        }
        let dead = match dead {
            0 => String::new(),
            dead => format!(", {} among them", dead_letters_of(dead)),
        };
        let receive =
            if channel.spec.paused { "set spec.paused to false and receive them" } else { "receive them" };
        Self {
            reason: if drains { "Draining" } else { "NotEmpty" },
            what: format!("the channel holds {}{dead}", messages_of(messages)),
            remedy: format!("{receive}, or {delete}"),
        }
    }
}

/// Whether two statuses differ in nothing but how many messages there are, which may wait.
pub(super) fn only_counts_differ(old: Option<&MessageChannelStatus>, new: &MessageChannelStatus) -> bool {
    let conditions = |status: &MessageChannelStatus| -> Vec<_> {
        let tell = |one: &Condition| {
            (one.type_.clone(), one.status.clone(), one.reason.clone(), one.observed_generation)
        };
        status.conditions.iter().map(tell).collect()
    };
    old.is_some_and(|old| conditions(old) == conditions(new))
}

fn messages_of(count: u64) -> String {
    match count {
        1 => "1 message".into(),
        count => format!("{count} messages"),
    }
}

fn dead_letters_of(count: u64) -> String {
    match count {
        1 => "1 dead letter".into(),
        count => format!("{count} dead letters"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::{
        fleet::State,
        message_channel::{
            build,
            validate::{tests, validate},
        },
    };

    fn deleted() -> MessageChannel {
        let mut channel = tests::open();
        channel.metadata.finalizers = Some(vec![restante_crds::FINALIZER.into()]);
        channel
    }

    #[test]
    fn without_a_broker_there_is_no_one_to_wait_for() {
        let facts = Facts { broker: BrokerState::NotFound("gone".into()), outcome: None, backlog: None };
        assert_eq!(plan(&deleted(), &facts), Plan::LetGo("gone".into()));
    }

    #[test]
    fn a_channel_without_our_finalizer_is_none_of_our_business() {
        assert_eq!(plan(&tests::open(), &tests::facts(3, State::Programmed)), Plan::Nothing);
    }

    #[test]
    fn a_broker_that_is_starting_is_waited_for() {
        assert_eq!(plan(&deleted(), &tests::facts(3, State::Programmed)), Plan::Wait);
    }

    #[test]
    fn messages_go_only_where_the_policy_or_the_annotation_says_so() {
        let with = |policy| {
            let mut channel = deleted();
            channel.spec.deletion_policy = policy;
            channel
        };
        assert_eq!(Force::of(&with(DeletionPolicy::Block)), None);
        assert_eq!(Force::of(&with(DeletionPolicy::Drain)), None);
        assert_eq!(Force::of(&with(DeletionPolicy::Delete)), Some(Force::Policy));
        let mut annotated = with(DeletionPolicy::Delete);
        annotated.metadata.annotations = Some([(FORCE_DELETE.to_owned(), String::new())].into());
        assert_eq!(Force::of(&annotated), Some(Force::Annotation));
        annotated.spec.deletion_policy = DeletionPolicy::Drain;
        assert_eq!(Force::of(&annotated), Some(Force::Annotation));
    }

    #[test]
    fn what_keeps_a_channel_is_told_with_what_to_do() {
        let told = |policy, messages, dead| {
            let mut channel = deleted();
            channel.spec.deletion_policy = policy;
            let kept = Kept::not_empty(&channel, Remaining { messages, dead });
            (kept.reason, kept.what)
        };
        let (block, drain) = (DeletionPolicy::Block, DeletionPolicy::Drain);
        assert_eq!(told(block, 1, 0), ("NotEmpty", "the channel holds 1 message".into()));
        let mixed = "the channel holds 5 messages, 2 dead letters among them";
        assert_eq!(told(drain, 5, 2), ("Draining", mixed.into()));
        for policy in [block, drain] {
            let left = ("DeadLettersLeft", "the channel holds 2 dead letters, and nothing else".into());
            assert_eq!(told(policy, 2, 2), left);
        }
    }

    #[test]
    fn a_paused_channel_that_drains_says_that_nobody_can_empty_it() {
        let mut channel = deleted();
        channel.spec.paused = true;
        let kept = Kept::not_empty(&channel, Remaining { messages: 3, dead: 0 });
        assert!(kept.remedy.starts_with("set spec.paused to false"), "{}", kept.remedy);
    }

    #[test]
    fn a_count_may_wait_and_a_reason_or_another_generation_may_not() {
        let status = |facts: &Facts, reason, message: &str| {
            let mut channel = deleted();
            channel.spec.deletion_policy = DeletionPolicy::Drain;
            channel.status = Some(build::status(
                &tests::open(),
                &tests::facts(3, State::Programmed),
                &validate(&tests::open(), &tests::facts(3, State::Programmed)),
                Timestamp::UNIX_EPOCH,
            ));
            channel.metadata.generation = Some(4);
            build::deletion_blocked(&channel, facts, reason, message.into(), Timestamp::UNIX_EPOCH)
        };
        let (before, after) = (tests::facts(3, State::Programmed), tests::facts(4, State::Programmed));
        let old = status(&after, "Draining", "5 messages");
        assert!(only_counts_differ(Some(&old), &status(&after, "Draining", "4 messages")));
        assert!(!only_counts_differ(Some(&old), &status(&after, "DeadLettersLeft", "4 messages")));
        assert!(!only_counts_differ(Some(&old), &status(&before, "Draining", "5 messages")));
        assert!(!only_counts_differ(None, &old));
    }
}
