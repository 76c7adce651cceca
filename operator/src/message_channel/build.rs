//! The status of a MessageChannel. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use restante_crds::{
    MessageChannel, MessageChannelStatus, condition, condition::kind, dead_letters::DeadLetterFault,
    message_channel::DeletionPolicy,
};
use restante_wire::{ChannelConfig, path};

use super::{
    dereference::{BrokerState, Facts},
    validate::{Programming, Verdict},
};
use crate::{
    conditions::{Assertion, conditions, is_true},
    fleet::State,
};

/// The reason of Ready of a deleted channel that takes no more messages.
const DRAINING: &str = "Draining";

/// The status that a channel should have, or `None` when there is nothing to say yet.
pub fn status(
    channel: &MessageChannel,
    facts: &Facts,
    verdict: &Verdict,
    now: Timestamp,
) -> MessageChannelStatus {
    let old = channel.status.clone().unwrap_or_default();
    let generation = channel.metadata.generation;
    let (config, assertions) = match verdict {
        Verdict::Rejected { reason, message, config, .. } => (config.as_deref(), rejected(reason, message)),
        Verdict::Accepted { config, programming, dead_letter } => {
            let ready = ready(config, dead_letter.as_ref());
            let programming = programmed(programming, generation, &old.conditions, ready);
            (Some(config.as_ref()), [vec![accepted(dead_letter.as_ref())], programming].concat())
        }
    };
    let url = match (&facts.broker, verdict) {
        (BrokerState::Served { url, .. }, Verdict::Accepted { .. }) => Some(url.as_str()),
        _ => None,
    };
    MessageChannelStatus {
        observed_generation: generation,
        conditions: conditions(&old.conditions, generation, now, assertions),
        destination: config.map(destinations),
        source: config.map(|config| config.source.to_string()),
        push_url: url.zip(config).and_then(|(url, config)| {
            let first = config.destinations.first()?;
            Some(format!("{url}{}", path::messages(first)))
        }),
        pull_url: url.zip(config).map(|(url, config)| format!("{url}{}", path::messages(&config.source))),
        backlog: facts.backlog.clone().or(old.backlog),
    }
}

fn destinations(config: &ChannelConfig) -> String {
    let all: Vec<&str> = config.destinations.iter().map(|address| address.as_str()).collect();
    all.join(",")
}

fn rejected(reason: &str, message: &str) -> Vec<Assertion> {
    vec![
        Assertion::fails(kind::ACCEPTED, reason, message),
        Assertion::fails(kind::PROGRAMMED, "NotAccepted", "the channel is not accepted"),
        Assertion::fails(kind::READY, reason, message),
    ]
}

fn accepted(dead_letter: Option<&DeadLetterFault>) -> Assertion {
    match dead_letter {
        None => Assertion::holds(kind::ACCEPTED, "Accepted", "the channel is valid"),
        Some(fault) => Assertion::fails(kind::ACCEPTED, fault.reason(), fault.to_string()),
    }
}

/// What Ready says of a channel that every pod has.
fn ready(config: &ChannelConfig, dead_letter: Option<&DeadLetterFault>) -> Assertion {
    match dead_letter {
        Some(fault) => Assertion::fails(kind::READY, fault.reason(), fault.to_string()),
        None if config.paused => Assertion::holds(
            kind::READY,
            "Paused",
            "messages can be sent; pulls are answered as if there were none until spec.paused is false",
        ),
        None => Assertion::holds(kind::READY, "Ready", "messages can be sent and received"),
    }
}

/// Whether every pod has the channel, and with that whether it is ready.
fn programmed(
    programming: &Programming,
    generation: Option<i64>,
    old: &[Condition],
    ready: Assertion,
) -> Vec<Assertion> {
    let done = || Assertion::holds(kind::PROGRAMMED, "Programmed", "every broker pod has this generation");
    let not_done = |reason: &str, message: &str| {
        vec![
            Assertion::fails(kind::PROGRAMMED, reason, message),
            Assertion::fails(kind::READY, reason, message),
        ]
    };
    // A pod that restarts has the generation on its disk: what was programmed stays so until the spec changes.
    let was_done = condition::find(old, kind::PROGRAMMED)
        .is_some_and(|condition| condition.status == "True" && condition.observed_generation == generation);
    match programming {
        Programming::Done => vec![done(), ready],
        Programming::Refused(message) => not_done("Refused", message),
        Programming::Pending { .. } | Programming::Unknown if was_done => vec![done(), ready],
        Programming::Pending { reason, message } => not_done(reason, message),
        Programming::Unknown => not_done("Waiting", "waiting for the broker"),
    }
}

/// The status of a channel that is deleted and that its broker keeps: as it was, and why it is still there. One that
/// drains is not ready any more, as nothing can be sent to it.
pub fn deletion_blocked(
    channel: &MessageChannel,
    facts: &Facts,
    reason: &'static str,
    message: String,
    now: Timestamp,
) -> MessageChannelStatus {
    let old = channel.status.clone().unwrap_or_default();
    let generation = channel.metadata.generation;
    let backlog = facts.backlog.clone().or_else(|| old.backlog.clone());
    let drains = channel.spec.deletion_policy == DeletionPolicy::Drain;
    // The deletion itself is a new generation. Unless the channel drains nothing changes for the broker by it, and it need
    // not be told.
    let is_there = !drains
        || facts.outcome.as_ref().is_some_and(|outcome| {
            Some(outcome.generation) == generation && outcome.state == State::Programmed
        });
    let mut kept = old.conditions.clone();
    if is_there && is_true(&kept, kind::PROGRAMMED) {
        kept.iter_mut().for_each(|condition| condition.observed_generation = generation);
    }
    let mut asserted = vec![Assertion::holds(kind::DELETION_BLOCKED, reason, message)];
    if drains {
        let message =
            "the channel is deleted and drains: pushes are refused with 410, messages can be received";
        asserted.push(Assertion::fails(kind::READY, DRAINING, message));
    } else if condition::find(&old.conditions, kind::READY).is_some_and(|ready| ready.reason == DRAINING) {
        // Somebody thought better of it while it drained.
        asserted.push(match condition::find(&kept, kind::PROGRAMMED) {
            Some(programmed) if programmed.status != "True" => {
                Assertion::fails(kind::READY, &programmed.reason, programmed.message.clone())
            }
            _ => Assertion::holds(kind::READY, "Ready", "messages can be sent and received"),
        });
    }
    for condition in conditions(&old.conditions, generation, now, asserted) {
        // In its place: a list in another order would be news.
        match kept.iter_mut().find(|one| one.type_ == condition.type_) {
            Some(place) => *place = condition,
            None => kept.push(condition),
        }
    }
    MessageChannelStatus { observed_generation: generation, conditions: kept, backlog, ..old }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        fleet::Pending,
        message_channel::validate::{
            tests::{channel, facts, open},
            validate,
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status_of(channel: &MessageChannel, facts: &Facts) -> MessageChannelStatus {
        status(channel, facts, &validate(channel, facts), at(100))
    }

    fn told(status: &MessageChannelStatus) -> Vec<(&str, &str, &str)> {
        let tell = |one: &'static str| {
            let condition = condition::find(&status.conditions, one).unwrap();
            (one, condition.status.as_str(), condition.reason.as_str())
        };
        [kind::ACCEPTED, kind::PROGRAMMED, kind::READY].map(tell).into()
    }

    #[test]
    fn a_programmed_channel_is_ready_and_tells_its_addresses() {
        let status = status_of(&open(), &facts(3, State::Programmed));
        assert_eq!(
            told(&status),
            [
                ("Accepted", "True", "Accepted"),
                ("Programmed", "True", "Programmed"),
                ("Ready", "True", "Ready")
            ]
        );
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(status.destination.as_deref(), Some("acme/orders"));
        assert_eq!(status.source.as_deref(), Some("acme/orders"));
    }

    #[test]
    fn a_status_that_says_nothing_new_is_the_same() {
        let mut channel = open();
        let first = status_of(&channel, &facts(3, State::Programmed));
        channel.status = Some(first.clone());
        let again = validate(&channel, &facts(3, State::Programmed));
        assert_eq!(status(&channel, &facts(3, State::Programmed), &again, at(999)), first);
    }

    #[test]
    fn a_pod_that_restarts_does_not_unprogram_a_channel() {
        let mut channel = open();
        channel.status = Some(status_of(&channel, &facts(3, State::Programmed)));
        let pending = facts(3, State::Pending(Pending::NoPod));
        assert_eq!(told(&status_of(&channel, &pending))[1], ("Programmed", "True", "Programmed"));
        // Another generation was never there.
        channel.metadata.generation = Some(4);
        let pending = facts(4, State::Pending(Pending::NoPod));
        assert_eq!(told(&status_of(&channel, &pending))[1], ("Programmed", "False", "NoBrokerPod"));
    }

    #[test]
    fn what_the_broker_refuses_is_not_programmed_whatever_was() {
        let mut channel = open();
        channel.status = Some(status_of(&channel, &facts(3, State::Programmed)));
        let refused = facts(3, State::Refused("the UID was deleted".into()));
        assert_eq!(told(&status_of(&channel, &refused))[2], ("Ready", "False", "Refused"));
    }

    #[test]
    fn a_blocked_deletion_leaves_the_rest_as_it_was() {
        let mut channel = open();
        channel.status = Some(status_of(&channel, &facts(3, State::Programmed)));
        channel.metadata.generation = Some(4);
        let blocked = deletion_blocked(
            &channel,
            &facts(3, State::Programmed),
            "NotEmpty",
            "5 messages".into(),
            at(200),
        );
        assert_eq!(told(&blocked)[2], ("Ready", "True", "Ready"));
        let condition = condition::find(&blocked.conditions, kind::DELETION_BLOCKED).unwrap();
        assert_eq!((condition.status.as_str(), condition.message.as_str()), ("True", "5 messages"));
        channel.status = Some(blocked.clone());
        assert_eq!(
            deletion_blocked(
                &channel,
                &facts(3, State::Programmed),
                "NotEmpty",
                "5 messages".into(),
                at(300)
            ),
            blocked
        );
    }

    #[test]
    fn a_channel_that_drains_is_not_ready_and_says_when_its_broker_knows() {
        let mut channel = open();
        channel.status = Some(status_of(&channel, &facts(3, State::Programmed)));
        channel.metadata.generation = Some(4);
        channel.spec.deletion_policy = DeletionPolicy::Drain;
        let blocked = |generation| {
            let facts = facts(generation, State::Programmed);
            deletion_blocked(&channel, &facts, "Draining", "5 messages".into(), at(200))
        };
        let observed = |status: &MessageChannelStatus| {
            condition::find(&status.conditions, kind::PROGRAMMED).unwrap().observed_generation
        };
        assert_eq!(told(&blocked(3))[2], ("Ready", "False", "Draining"));
        assert_eq!((observed(&blocked(3)), observed(&blocked(4))), (Some(3), Some(4)));
        let reasons: Vec<_> = blocked(4).conditions.iter().map(|one| one.type_.clone()).collect();
        assert_eq!(reasons, ["Accepted", "Programmed", "Ready", "DeletionBlocked"]);

        // Whoever sets the policy to Block instead has the channel as it was.
        channel.status = Some(blocked(4));
        channel.spec.deletion_policy = DeletionPolicy::Block;
        channel.metadata.generation = Some(5);
        let open_again = deletion_blocked(
            &channel,
            &facts(5, State::Programmed),
            "NotEmpty",
            "5 messages".into(),
            at(300),
        );
        assert_eq!(told(&open_again)[2], ("Ready", "True", "Ready"));
        // It is as ready as it was programmed.
        let status = channel.status.as_mut().unwrap();
        let programmed = status.conditions.iter_mut().find(|one| one.type_ == kind::PROGRAMMED).unwrap();
        (programmed.status, programmed.reason) = ("False".into(), "BrokerUnreachable".into());
        let unreachable = facts(5, State::Pending(Pending::NoPod));
        let as_it_was = deletion_blocked(&channel, &unreachable, "BrokerUnreachable", String::new(), at(300));
        assert_eq!(told(&as_it_was)[2], ("Ready", "False", "BrokerUnreachable"));
    }

    #[test]
    fn a_channel_whose_dead_letters_find_nobody_is_programmed_and_not_ready() {
        for (fault, reason) in [
            (DeadLetterFault::NotFound("acme/dead".into()), "DeadLetterNotFound"),
            (DeadLetterFault::Cycle("acme/dead".into()), "DeadLetterCycle"),
        ] {
            let mut facts = facts(3, State::Programmed);
            facts.outcome.as_mut().unwrap().dead_letter = Some(fault);
            let status = status_of(&open(), &facts);
            assert_eq!(
                told(&status),
                [
                    ("Accepted", "False", reason),
                    ("Programmed", "True", "Programmed"),
                    ("Ready", "False", reason)
                ]
            );
            let message = &condition::find(&status.conditions, kind::READY).unwrap().message;
            assert!(message.contains("acme/dead") && message.contains("goes on"), "{message}");
        }
    }

    #[test]
    fn a_paused_channel_is_ready_and_says_that_it_is_paused() {
        let paused = channel(json!({ "paused": true, "access": { "anonymous": true } }));
        let status = status_of(&paused, &facts(3, State::Programmed));
        assert_eq!(told(&status)[2], ("Ready", "True", "Paused"));
    }
}
