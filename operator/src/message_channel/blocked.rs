//! The status of a deleted channel that is kept: why, what to do, and what is in it. Pure.

use k8s_openapi::jiff::Timestamp;
use restante_crds::{
    MessageChannel, MessageChannelStatus,
    condition::{self, kind},
    message_channel::DeletionPolicy,
};

use super::{
    build::{BROKER_NOT_READY, broker_not_ready},
    dereference::Facts,
    kept::Kept,
    status::own,
};
use crate::{
    conditions::{Assertion, conditions, is_true},
    fleet::{Availability, State, backlog::rounded},
};

/// The reason of Ready of a deleted channel that takes no more messages.
pub(super) const DRAINING: &str = "Draining";
/// The reason of Ready of a deleted channel that goes on until it is empty.
pub(crate) const DELETING: &str = "Deleting";

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
        if facts.availability == Availability::Away {
            return broker_not_ready(facts);
        }
        let message = match kept {
            Kept::NotEmpty(_) => {
                "the channel is deleted and goes when it is empty; until then its broker serves it as before"
            }
            Kept::AnotherStore(_) => {
                "the channel is deleted and goes when its broker has the store that it had, or its new one is accepted"
            }
            Kept::Away(_) => "the channel is deleted and goes when its broker, which is away, can be asked",
        };
        Assertion::holds(kind::READY, DELETING, message)
    };
    let mut asserted =
        vec![Assertion::holds(kind::DELETION_BLOCKED, kept.reason(channel), kept.message(channel))];
    if drains {
        let message =
            "the channel is deleted and drains: pushes are refused with 410, messages can be received";
        asserted.push(Assertion::fails(kind::READY, DRAINING, message));
    } else if condition::find(&old.conditions, kind::READY).is_some_and(|ready| goes_on(&ready.reason, facts))
    {
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
    let broker = facts.has_it.clone();
    MessageChannelStatus { observed_generation: generation, conditions: told, broker, backlog, ..old }
}

/// Whether a channel that was not Ready for this reason is so again: somebody thought better of it while it drained, or its
/// broker is back.
fn goes_on(reason: &str, facts: &Facts) -> bool {
    reason == DRAINING || (reason == BROKER_NOT_READY && facts.availability == Availability::Ready)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        fleet::Pending,
        message_channel::{
            build,
            kept::tests::holding,
            validate::{
                tests::{facts, open},
                validate,
            },
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
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
        assert_eq!(blocked.broker.as_deref(), Some("mq/default"));
        channel.status = Some(blocked.clone());
        assert_eq!(deletion_blocked(&channel, &facts, &kept, at(300)), blocked);
        // A broker that cannot be asked says nothing new of what it holds.
        let away = deletion_blocked(&channel, &facts, &Kept::Away("gone".into()), at(300));
        assert_eq!(away.backlog, blocked.backlog);
        let ready = condition::find(&away.conditions, kind::READY).unwrap();
        assert!(!ready.message.contains("serves it"), "{}", ready.message);
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
    fn a_kept_channel_is_as_ready_as_its_broker_is_there() {
        let mut channel = programmed();
        for (availability, ready) in [
            (Availability::Unsettled, ("True", "Deleting")),
            (Availability::Away, ("False", "BrokerNotReady")),
            (Availability::Unsettled, ("False", "BrokerNotReady")),
            (Availability::Ready, ("True", "Deleting")),
        ] {
            let facts = Facts { availability, ..facts(3, State::Programmed) };
            let blocked = deletion_blocked(&channel, &facts, &Kept::Away("gone".into()), at(200));
            assert_eq!(told(&blocked, kind::READY), ready, "{availability:?}");
            channel.status = Some(blocked);
        }
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
}
