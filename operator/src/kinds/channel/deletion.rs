//! Plans the deletion of a MessageChannel. Pure.

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

/// How long an unreachable broker is waited for before it is reported or the channel is released without it. The wait
/// begins with the channel's deletion or creation, but not before the operator's start. Most often the broker only
/// restarts.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// The plan for a deleted channel, decided without any request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// There is nothing to clean up.
    Nothing,
    /// Remove the finalizer, and say why.
    Release(String),
    /// The broker does not exist, with a text about it. Its claim may still have messages.
    WithoutBroker(String),
    /// The broker is starting, or is being deleted.
    Wait,
    /// The broker exists, but cannot be reached; the text says why.
    Unreachable(String),
    /// The broker exists, but cannot be served; the text says why.
    NotServed(String),
    /// The broker has another store than the channel was in, with a text about it.
    AnotherStore(String),
    /// Delete the channel at the broker, if the broker has this store. Without `store`, the broker may have any store.
    Delete { uid: Uuid, force: Option<Force>, store: Option<Uuid> },
}

/// What requests the deletion of a channel together with its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// The annotation [`FORCE_DELETE`].
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

    /// The event about deleted messages.
    pub(super) fn event(self, messages: u64) -> (EventType, &'static str, String) {
        let messages = messages_of(messages);
        match self {
            Self::Annotation => (
                EventType::Warning,
                "ForceDeleted",
                format!("deleted with {messages}, as requested by the annotation {FORCE_DELETE}"),
            ),
            Self::Policy => (
                EventType::Normal,
                "DeletedWithMessages",
                format!("deleted with {messages}, as requested by spec.deletionPolicy: Delete"),
            ),
        }
    }
}

/// Whether an unreachable broker has been waited for long enough.
pub(super) fn wait_is_over(channel: &MessageChannel, started: Timestamp, now: Timestamp) -> bool {
    let metadata = &channel.metadata;
    let since = metadata.deletion_timestamp.as_ref().or(metadata.creation_timestamp.as_ref());
    let since = since.map_or(started, |time| time.0.max(started));
    now.duration_since(since) >= PATIENCE
}

/// Plans the deletion of a channel. `is_held`: it has our finalizer.
pub(super) fn plan(channel: &MessageChannel, facts: &Facts, is_held: bool, wait_is_over: bool) -> Plan {
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
        BrokerState::Leaving(_) if !wait_is_over => Plan::Wait,
        BrokerState::Leaving(why) => Plan::Unreachable(why.clone()),
        BrokerState::NotServed(why) => Plan::NotServed(why.clone()),
        BrokerState::Served { store, .. } => ask(channel, uid, *store, wait_is_over),
    }
}

/// Only the store that the channel was in has its messages. In another store, the channel is empty.
fn ask(channel: &MessageChannel, uid: Uuid, store: StoreState, wait_is_over: bool) -> Plan {
    let force = Force::of(channel);
    match store {
        // The annotation gives up the messages of an earlier store too.
        _ if force == Some(Force::Annotation) => Plan::Delete { uid, force, store: None },
        StoreState::Known(store) => Plan::Delete { uid, force, store: Some(store) },
        StoreState::Replaced => Plan::AnotherStore(another_store(channel)),
        StoreState::Unknown if !wait_is_over => Plan::Wait,
        StoreState::Unknown => {
            let broker = &channel.spec.broker_ref.name;
            Plan::Unreachable(format!("MessageBroker {broker} has not reported its store yet"))
        }
    }
}

/// The text about a replaced store.
pub(super) fn another_store(channel: &MessageChannel) -> String {
    format!(
        "the store of MessageBroker {} was replaced, and only the earlier store has the messages of the channel",
        channel.spec.broker_ref.name
    )
}

/// Whether two statuses differ only in the number of messages, so that the write may wait. `advice` is the end of the
/// new message, which an edit may change.
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
        kinds::channel::{
            blocked::{deletion_blocked, tests::programmed},
            blocker::tests::holding,
            validate::tests::{facts, open},
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn planned(broker: BrokerState, wait_is_over: bool) -> Plan {
        let facts = Facts { broker, outcome: None, ..facts(3, State::Programmed) };
        plan(&open(), &facts, true, wait_is_over)
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
        for wait_is_over in [false, true] {
            let planned = planned(BrokerState::NotServed("why".into()), wait_is_over);
            assert_eq!(planned, Plan::NotServed("why".into()));
        }
        // A broker that is being deleted still has the messages.
        assert_eq!(planned(BrokerState::Leaving("going".into()), false), Plan::Wait);
        assert_eq!(planned(BrokerState::Leaving("going".into()), true), Plan::Unreachable("going".into()));
    }

    #[test]
    fn only_the_known_store_is_asked_unless_the_deletion_is_forced() {
        let id = Uuid::from_u128(1);
        let planned = |store: StoreState, force: bool, wait_is_over| {
            let mut channel = open();
            channel.metadata.annotations =
                force.then(|| [(FORCE_DELETE.to_owned(), FORCE_DELETE_VALUE.to_owned())].into());
            ask(&channel, Uuid::from_u128(9), store, wait_is_over)
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
        assert!(wait_is_over(&channel, at(0), at(40)));
        channel.metadata.deletion_timestamp =
            Some(serde_json::from_value("1970-01-01T00:01:40Z".into()).unwrap());
        assert!(!wait_is_over(&channel, at(0), at(129)));
        assert!(wait_is_over(&channel, at(0), at(130)));
        assert!(!wait_is_over(&channel, at(120), at(149)));
        assert!(wait_is_over(&channel, at(120), at(150)));
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
