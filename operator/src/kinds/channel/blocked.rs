//! The status of a channel whose deletion is blocked. Pure.

use k8s_openapi::jiff::Timestamp;
use restante_crds::{
    MessageChannel, MessageChannelStatus,
    condition::{self, kind},
    message_channel::DeletionPolicy,
};

use super::{
    blocker::Blocker,
    build::{self, BROKER_NOT_READY, broker_not_ready},
    dereference::Facts,
    validate::{BROKER_NOT_FOUND, validate},
};
use crate::{
    fleet::{Availability, State, backlog::rounded},
    reconcile::status::own,
    shared::conditions::{Assertion, conditions, is_true},
};

/// The reason of Ready of a deleted channel that accepts no more messages.
pub(super) const DRAINING: &str = "Draining";
/// The reason of Ready of a deleted channel that stays in service until it is empty.
pub(crate) const DELETING: &str = "Deleting";

/// Whether the broker must get the deletion's generation.
fn drains(channel: &MessageChannel) -> bool {
    channel.spec.deletion_policy == DeletionPolicy::Drain
}

/// The status of the channel apart from its deletion: usually unchanged. A failure from before the deletion is
/// evaluated again if there is a new outcome, or if the broker may exist again. A channel whose broker does not exist
/// is evaluated again, too.
fn channel_status(
    channel: &MessageChannel,
    facts: &Facts,
    blocker: &Blocker,
    now: Timestamp,
) -> MessageChannelStatus {
    let old = own(channel);
    let fails = |kind: &str| condition::find(&old.conditions, kind).filter(|one| one.status == "False");
    let is_news = fails(kind::READY).is_some_and(|ready| {
        ready.reason == BROKER_NOT_FOUND || (fails(kind::PROGRAMMED).is_some() && facts.outcome.is_some())
    });
    if !is_news && !matches!(blocker, Blocker::OnClaim { .. }) {
        return old;
    }
    let mut facts = facts.clone();
    if let (Some(outcome), false) = (&mut facts.outcome, drains(channel)) {
        outcome.generation = channel.metadata.generation.unwrap_or(outcome.generation);
    }
    let mut current = build::status(channel, &facts, &validate(channel, &facts), None, now);
    let blocked = condition::find(&old.conditions, kind::DELETION_BLOCKED);
    current.conditions.extend(blocked.cloned());
    current
}

/// The status of a channel whose deletion is blocked: the current status, and the condition DeletionBlocked. A draining
/// channel is not ready, because it accepts no messages. The backlog comes from the broker's refusal of the deletion,
/// because the last inspection may have preceded the message that blocks it.
pub(super) fn deletion_blocked(
    channel: &MessageChannel,
    facts: &Facts,
    blocker: &Blocker,
    now: Timestamp,
) -> MessageChannelStatus {
    let old = channel_status(channel, facts, blocker, now);
    let generation = channel.metadata.generation;
    let held = blocker.held().map(rounded);
    let backlog = held.or_else(|| build::backlog(facts, old.backlog.clone()));
    let drains = drains(channel);
    // The deletion itself is a new generation. Unless the channel drains, it changes nothing for the broker, which does
    // not get it.
    let is_there = !drains
        || facts.outcome.as_ref().is_some_and(|outcome| {
            Some(outcome.generation) == generation && outcome.state == State::Programmed
        });
    let mut reported = old.conditions.clone();
    // Tools do not wait for a deleted resource to become ready.
    reported.retain(|condition| condition.type_ != kind::STALLED);
    if is_there && is_true(&reported, kind::PROGRAMMED) {
        reported.iter_mut().for_each(|condition| condition.observed_generation = generation);
    }
    let going = || {
        if facts.availability == Availability::Away {
            return broker_not_ready(facts);
        }
        let message = match blocker {
            Blocker::NotEmpty(_) => {
                "the channel is being deleted, and disappears when it is empty; until then its broker serves it unchanged"
            }
            Blocker::AnotherStore(_) => {
                "the channel is being deleted, and disappears when its broker has the earlier store again, or the new one is \
                 accepted"
            }
            Blocker::Unreachable(_) | Blocker::OnClaim { .. } => {
                "the channel is being deleted, and disappears when its broker can be reached again"
            }
            Blocker::NotServed(_) => {
                "the channel is being deleted, and disappears when the operator can serve its broker"
            }
        };
        Assertion::holds(kind::READY, DELETING, message)
    };
    let mut asserted =
        vec![Assertion::holds(kind::DELETION_BLOCKED, blocker.reason(channel), blocker.message(channel))];
    // Without a broker, no receiver can drain the channel.
    if drains && !matches!(blocker, Blocker::OnClaim { .. }) {
        let message =
            "the channel is being deleted and drained: pushes are refused with 410, messages can be received";
        asserted.push(Assertion::fails(kind::READY, DRAINING, message));
    } else if condition::find(&old.conditions, kind::READY).is_some_and(|ready| resumes(&ready.reason, facts))
    {
        asserted.push(match condition::find(&reported, kind::PROGRAMMED) {
            Some(programmed) if programmed.status != "True" => {
                Assertion::fails(kind::READY, &programmed.reason, programmed.message.clone())
            }
            _ => going(),
        });
    } else if is_true(&reported, kind::READY) {
        asserted.push(going());
    }
    for condition in conditions(&old.conditions, generation, now, asserted) {
        // Keep the order: a list in another order would count as changed.
        match reported.iter_mut().find(|one| one.type_ == condition.type_) {
            Some(place) => *place = condition,
            None => reported.push(condition),
        }
    }
    let broker = facts.current_broker.clone();
    MessageChannelStatus { observed_generation: generation, conditions: reported, broker, backlog, ..old }
}

/// Whether a channel that was not Ready for this reason may be Ready again: its policy was changed while it drained, or
/// its broker is ready again.
fn resumes(reason: &str, facts: &Facts) -> bool {
    reason == DRAINING || (reason == BROKER_NOT_READY && facts.availability == Availability::Ready)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        fleet::Pending,
        kinds::channel::{
            blocker::tests::holding,
            build,
            dereference::BrokerState,
            validate::{
                tests::{facts, open},
                validate,
            },
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    pub(in crate::kinds::channel) fn programmed() -> MessageChannel {
        let mut channel = open();
        let facts = facts(3, State::Programmed);
        channel.status = Some(build::status(&channel, &facts, &validate(&channel, &facts), None, at(100)));
        channel.metadata.generation = Some(4);
        channel
    }

    fn reported<'a>(status: &'a MessageChannelStatus, kind: &str) -> (&'a str, &'a str) {
        let condition = condition::find(&status.conditions, kind).unwrap();
        (&condition.status, &condition.reason)
    }

    #[test]
    fn a_blocked_deletion_keeps_the_channel_ready_and_shows_its_messages() {
        let mut channel = programmed();
        let facts = facts(3, State::Programmed);
        let blocker = holding(5, 2);
        let blocked = deletion_blocked(&channel, &facts, &blocker, at(200));
        assert_eq!(reported(&blocked, kind::READY), ("True", "Deleting"));
        assert_eq!(reported(&blocked, kind::DELETION_BLOCKED), ("True", "NotEmpty"));
        let backlog = blocked.backlog.clone().unwrap();
        assert_eq!((backlog.messages, backlog.dead), (3, 2));
        assert_eq!(blocked.broker.as_deref(), Some("mq/default"));
        channel.status = Some(blocked.clone());
        assert_eq!(deletion_blocked(&channel, &facts, &blocker, at(300)), blocked);
        // If the broker cannot be reached, the backlog stays.
        let away = deletion_blocked(&channel, &facts, &Blocker::Unreachable("gone".into()), at(300));
        assert_eq!(away.backlog, blocked.backlog);
        let ready = condition::find(&away.conditions, kind::READY).unwrap();
        assert!(!ready.message.contains("serves it"), "{}", ready.message);
    }

    #[test]
    fn broker_not_found_is_reported_until_the_broker_is_back() {
        for policy in [DeletionPolicy::Block, DeletionPolicy::Drain] {
            let mut channel = programmed();
            channel.spec.deletion_policy = policy;
            channel.metadata.deletion_timestamp =
                serde_json::from_value("2026-01-01T00:00:00Z".into()).unwrap();
            let gone = Facts {
                broker: BrokerState::NotFound("gone".into()),
                outcome: None,
                ..facts(3, State::Programmed)
            };
            let on_claim =
                Blocker::OnClaim { gone: "gone".into(), namespace: "mq".into(), claim: "data".into() };
            let blocked = deletion_blocked(&channel, &gone, &on_claim, at(200));
            for kind in [kind::ACCEPTED, kind::READY] {
                assert_eq!(reported(&blocked, kind), ("False", "BrokerNotFound"));
            }
            assert_eq!(reported(&blocked, kind::DELETION_BLOCKED), ("True", "BrokerNotFound"));
            channel.status = Some(blocked.clone());
            assert_eq!(deletion_blocked(&channel, &gone, &on_claim, at(300)), blocked);
            // The broker's task has not published an outcome yet.
            let starting = Facts { broker: BrokerState::Starting, ..gone };
            let waits =
                deletion_blocked(&channel, &starting, &Blocker::Unreachable("no pod runs".into()), at(400));
            assert_eq!(reported(&waits, kind::ACCEPTED), ("True", "Accepted"));
            channel.status = Some(waits);
            // Only a draining channel has a new generation at the broker.
            let (generation, ready) = match policy {
                DeletionPolicy::Drain => (4, ("False", "Draining")),
                _ => (3, ("True", "Deleting")),
            };
            let known = facts(generation, State::Programmed);
            let back = deletion_blocked(&channel, &known, &holding(1, 0), at(500));
            assert_eq!(reported(&back, kind::READY), ready);
            assert_eq!(reported(&back, kind::PROGRAMMED), ("True", "Programmed"));
        }
    }

    #[test]
    fn a_deletion_does_not_make_a_channel_ready() {
        let mut channel = programmed();
        let status = channel.status.as_mut().unwrap();
        let ready = status.conditions.iter_mut().find(|one| one.type_ == kind::READY).unwrap();
        (ready.status, ready.reason) = ("False".into(), "BrokerUnreachable".into());
        let blocked = deletion_blocked(&channel, &facts(3, State::Programmed), &holding(1, 0), at(200));
        assert_eq!(reported(&blocked, kind::READY), ("False", "BrokerUnreachable"));
    }

    #[test]
    fn a_blocked_channel_is_ready_while_its_broker_is_available() {
        let mut channel = programmed();
        for (availability, ready) in [
            (Availability::Unsettled, ("True", "Deleting")),
            (Availability::Away, ("False", "BrokerNotReady")),
            (Availability::Unsettled, ("False", "BrokerNotReady")),
            (Availability::Ready, ("True", "Deleting")),
        ] {
            let facts = Facts { availability, ..facts(3, State::Programmed) };
            let blocked = deletion_blocked(&channel, &facts, &Blocker::Unreachable("gone".into()), at(200));
            assert_eq!(reported(&blocked, kind::READY), ready, "{availability:?}");
            channel.status = Some(blocked);
        }
    }

    #[test]
    fn a_draining_channel_is_not_ready_and_observes_the_generation_of_its_broker() {
        let mut channel = programmed();
        channel.spec.deletion_policy = DeletionPolicy::Drain;
        let blocked = |generation| {
            deletion_blocked(&channel, &facts(generation, State::Programmed), &holding(5, 0), at(200))
        };
        let observed = |status: &MessageChannelStatus| {
            condition::find(&status.conditions, kind::PROGRAMMED).unwrap().observed_generation
        };
        assert_eq!(reported(&blocked(3), kind::READY), ("False", "Draining"));
        assert_eq!((observed(&blocked(3)), observed(&blocked(4))), (Some(3), Some(4)));
        let kinds: Vec<_> = blocked(4).conditions.iter().map(|one| one.type_.clone()).collect();
        assert_eq!(kinds, ["Accepted", "Programmed", "Ready", "DeletionBlocked"]);

        // A change of the policy to Block opens the channel again.
        channel.status = Some(blocked(4));
        channel.spec.deletion_policy = DeletionPolicy::Block;
        channel.metadata.generation = Some(5);
        let open_again = deletion_blocked(&channel, &facts(5, State::Programmed), &holding(5, 0), at(300));
        assert_eq!(reported(&open_again, kind::READY), ("True", "Deleting"));
        // Ready follows Programmed.
        let status = channel.status.as_mut().unwrap();
        let programmed = status.conditions.iter_mut().find(|one| one.type_ == kind::PROGRAMMED).unwrap();
        (programmed.status, programmed.reason) = ("False".into(), "BrokerUnreachable".into());
        let unreachable = facts(5, State::Pending(Pending::NoPod));
        let as_it_is =
            deletion_blocked(&channel, &unreachable, &Blocker::Unreachable(String::new()), at(300));
        assert_eq!(reported(&as_it_is, kind::READY), ("False", "NoBrokerPod"));
    }
}
