//! What to do with a deleted MessageChannel. Pure.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Condition,
    jiff::{SignedDuration, Timestamp},
};
use kube::{ResourceExt, runtime::events::EventType};
use restante_crds::{
    FORCE_DELETE, FORCE_DELETE_VALUE, MessageChannel, MessageChannelStatus,
    condition::{self, kind},
    message_channel::DeletionPolicy,
};
use uuid::Uuid;

use super::dereference::{BrokerState, Facts, StoreState};

/// How long a broker that is away is waited for before something is done or said about it: from the channel's deletion on, or
/// its creation, and not before the operator's start. Most often it only restarts.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// What to do with a deleted channel. Decided without asking anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// There is nothing to clean up.
    Nothing,
    /// There is nothing to ask a broker for.
    Release(String),
    /// There is no broker to ask, in words. Its claim may hold messages all the same.
    WithoutBroker(String),
    /// The broker comes up in a moment, or is gone in one.
    Wait,
    /// There is a broker, and no way to ask it.
    Unreachable(String),
    /// There is a broker, and it cannot be served; why.
    NotServed(String),
    /// There is a broker, and its store is another than the channel was in; what to say.
    AnotherStore(String),
    /// Ask the broker, if it has this store; without one, whichever it has.
    Delete { uid: Uuid, force: Option<Force>, store: Option<Uuid> },
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
        if channel.annotations().get(FORCE_DELETE).is_some_and(|value| value == FORCE_DELETE_VALUE) {
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
                format!("deleted with {messages}, as its annotation {FORCE_DELETE} says"),
            ),
            Self::Policy => (
                EventType::Normal,
                "DeletedWithMessages",
                format!("deleted with {messages}, as spec.deletionPolicy: Delete says"),
            ),
        }
    }
}

/// Whether a broker that is away was waited for long enough.
pub(super) fn is_patience_over(channel: &MessageChannel, started: Timestamp, now: Timestamp) -> bool {
    let metadata = &channel.metadata;
    let since = metadata.deletion_timestamp.as_ref().or(metadata.creation_timestamp.as_ref());
    let since = since.map_or(started, |time| time.0.max(started));
    now.duration_since(since) >= PATIENCE
}

/// What to do with a deleted channel. `is_held`: our finalizer is on it.
pub(super) fn plan(channel: &MessageChannel, facts: &Facts, is_held: bool, is_patience_over: bool) -> Plan {
    if !is_held {
        return Plan::Nothing;
    }
    let Some(uid) = channel.metadata.uid.as_deref().and_then(|uid| uid.parse().ok()) else {
        return Plan::Release("the resource has no UID".into());
    };
    match &facts.broker {
        BrokerState::NotFound(why) | BrokerState::Refused { gone: why, .. } => {
            Plan::WithoutBroker(why.clone())
        }
        BrokerState::Starting => Plan::Wait,
        BrokerState::Leaving(_) if !is_patience_over => Plan::Wait,
        BrokerState::Leaving(why) => Plan::Unreachable(why.clone()),
        BrokerState::NotServed(why) => Plan::NotServed(why.clone()),
        BrokerState::Served { store, .. } => ask(channel, uid, *store, is_patience_over),
    }
}

/// Only the store that the channel was in knows what it holds: in another one it is empty.
fn ask(channel: &MessageChannel, uid: Uuid, store: StoreState, is_patience_over: bool) -> Plan {
    let force = Force::of(channel);
    match store {
        // Whoever gives the messages up gives up those of an earlier store as well.
        _ if force == Some(Force::Annotation) => Plan::Delete { uid, force, store: None },
        StoreState::Known(store) => Plan::Delete { uid, force, store: Some(store) },
        StoreState::Replaced => Plan::AnotherStore(another_store(channel)),
        StoreState::Unknown if !is_patience_over => Plan::Wait,
        StoreState::Unknown => {
            let broker = &channel.spec.broker_ref.name;
            Plan::Unreachable(format!("MessageBroker {broker} has not told yet which store it has"))
        }
    }
}

/// That an empty channel means nothing, as it is not where the messages were.
pub(super) fn another_store(channel: &MessageChannel) -> String {
    format!(
        "MessageBroker {} shows another store than it had, and only the earlier one knows what the channel holds",
        channel.spec.broker_ref.name
    )
}

/// Whether two statuses differ in nothing but how many messages there are, which may wait. `advice` is what to do, with which
/// the new message ends: an edit may make it another.
pub(super) fn only_counts_differ(
    old: &MessageChannelStatus,
    new: &MessageChannelStatus,
    advice: &str,
) -> bool {
    let blocked = condition::find(&old.conditions, kind::DELETION_BLOCKED);
    if blocked.is_none_or(|blocked| !blocked.message.ends_with(advice)) {
        return false;
    }
    let conditions = |status: &MessageChannelStatus| -> Vec<_> {
        let tell = |one: &Condition| {
            (one.type_.clone(), one.status.clone(), one.reason.clone(), one.observed_generation)
        };
        status.conditions.iter().map(tell).collect()
    };
    conditions(old) == conditions(new)
}

pub(super) fn messages_of(count: u64) -> String {
    match count {
        1 => "1 message".into(),
        count => format!("{count} messages"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::State,
        message_channel::{
            blocked::{deletion_blocked, tests::programmed},
            blocker::tests::holding,
            validate::tests::{facts, open},
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn planned(broker: BrokerState, is_patience_over: bool) -> Plan {
        let facts = Facts { broker, outcome: None, ..facts(3, State::Programmed) };
        plan(&open(), &facts, true, is_patience_over)
    }

    #[test]
    fn without_a_broker_the_claim_decides() {
        assert_eq!(planned(BrokerState::NotFound("gone".into()), false), Plan::WithoutBroker("gone".into()));
    }

    #[test]
    fn nothing_is_planned_for_a_channel_without_our_finalizer() {
        assert_eq!(plan(&open(), &facts(3, State::Programmed), false, true), Plan::Nothing);
    }

    #[test]
    fn a_deletion_waits_for_a_broker_that_starts_or_is_being_deleted() {
        assert_eq!(planned(BrokerState::Starting, true), Plan::Wait);
        for is_patience_over in [false, true] {
            let planned = planned(BrokerState::NotServed("why".into()), is_patience_over);
            assert_eq!(planned, Plan::NotServed("why".into()));
        }
        // As long as it exists, a broker that is being deleted holds the messages.
        assert_eq!(planned(BrokerState::Leaving("going".into()), false), Plan::Wait);
        assert_eq!(planned(BrokerState::Leaving("going".into()), true), Plan::Unreachable("going".into()));
    }

    #[test]
    fn only_the_known_store_is_asked_unless_the_deletion_is_forced() {
        let id = Uuid::from_u128(1);
        let planned = |store: StoreState, force: bool, is_patience_over| {
            let mut channel = open();
            channel.metadata.annotations =
                force.then(|| [(FORCE_DELETE.to_owned(), FORCE_DELETE_VALUE.to_owned())].into());
            ask(&channel, Uuid::from_u128(9), store, is_patience_over)
        };
        let asked = |store, force| match planned(store, force, false) {
            Plan::Delete { store, .. } => Some(store),
            _ => None,
        };
        assert_eq!(asked(StoreState::Known(id), false), Some(Some(id)));
        assert!(matches!(planned(StoreState::Replaced, false, true), Plan::AnotherStore(_)));
        assert_eq!(planned(StoreState::Unknown, false, false), Plan::Wait);
        assert!(matches!(planned(StoreState::Unknown, false, true), Plan::Unreachable(_)));
        for any in [StoreState::Known(id), StoreState::Replaced, StoreState::Unknown] {
            assert_eq!(asked(any, true), Some(None));
        }
    }

    #[test]
    fn patience_starts_with_the_deletion_or_the_operator() {
        let mut channel = open();
        channel.metadata.creation_timestamp =
            Some(serde_json::from_value("1970-01-01T00:00:10Z".into()).unwrap());
        assert!(is_patience_over(&channel, at(0), at(40)));
        channel.metadata.deletion_timestamp =
            Some(serde_json::from_value("1970-01-01T00:01:40Z".into()).unwrap());
        assert!(!is_patience_over(&channel, at(0), at(129)));
        assert!(is_patience_over(&channel, at(0), at(130)));
        assert!(!is_patience_over(&channel, at(120), at(149)));
        assert!(is_patience_over(&channel, at(120), at(150)));
    }

    #[test]
    fn only_the_policy_or_the_annotation_deletes_messages() {
        let with = |policy| {
            let mut channel = open();
            channel.spec.deletion_policy = policy;
            channel
        };
        assert_eq!(Force::of(&with(DeletionPolicy::Block)), None);
        assert_eq!(Force::of(&with(DeletionPolicy::Drain)), None);
        assert_eq!(Force::of(&with(DeletionPolicy::Delete)), Some(Force::Policy));
        let annotated = |policy, value: &str| {
            let mut channel = with(policy);
            channel.metadata.annotations = Some([(FORCE_DELETE.to_owned(), value.to_owned())].into());
            Force::of(&channel)
        };
        assert_eq!(annotated(DeletionPolicy::Delete, "true"), Some(Force::Annotation));
        assert_eq!(annotated(DeletionPolicy::Drain, "true"), Some(Force::Annotation));
        for value in ["false", "", "True", "yes", "1", " true"] {
            assert_eq!(annotated(DeletionPolicy::Block, value), None, "{value:?}");
            assert_eq!(annotated(DeletionPolicy::Delete, value), Some(Force::Policy), "{value:?}");
        }
    }

    #[test]
    fn only_changed_counts_may_be_written_later() {
        let status = |generation, messages, dead| {
            let mut channel = programmed();
            channel.spec.deletion_policy = DeletionPolicy::Drain;
            let facts = facts(generation, State::Programmed);
            deletion_blocked(&channel, &facts, &holding(messages, dead), at(200))
        };
        let old = status(4, 5, 0);
        let advice = |messages, dead| {
            let mut channel = programmed();
            channel.spec.deletion_policy = DeletionPolicy::Drain;
            holding(messages, dead).advice(&channel)
        };
        assert!(only_counts_differ(&old, &status(4, 4, 0), &advice(4, 0)));
        assert!(!only_counts_differ(&old, &status(4, 4, 4), &advice(4, 4)));
        assert!(!only_counts_differ(&old, &status(3, 5, 0), &advice(5, 0)));
        assert!(!only_counts_differ(&old, &status(4, 4, 0), "something else"));
    }
}
