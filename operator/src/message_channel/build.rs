//! The status of a MessageChannel. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use restante_crds::{MessageChannel, MessageChannelStatus, condition, condition::kind};
use restante_wire::{ChannelConfig, path};

use super::{
    dereference::{BrokerState, Facts},
    validate::{Programming, Verdict},
};
use crate::conditions::{Assertion, conditions, is_true};

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
        Verdict::Accepted { config, programming } => {
            (Some(config.as_ref()), accepted(programming, generation, &old.conditions))
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

fn accepted(programming: &Programming, generation: Option<i64>, old: &[Condition]) -> Vec<Assertion> {
    let accepted = Assertion::holds(kind::ACCEPTED, "Accepted", "the channel is valid");
    let done = || {
        [
            Assertion::holds(kind::PROGRAMMED, "Programmed", "every broker pod has this generation"),
            Assertion::holds(kind::READY, "Ready", "messages can be sent and received"),
        ]
    };
    let not_done = |reason: &str, message: &str| {
        [Assertion::fails(kind::PROGRAMMED, reason, message), Assertion::fails(kind::READY, reason, message)]
    };
    // A pod that restarts has the generation on its disk: what was programmed stays so until the spec changes.
    let was_done = condition::find(old, kind::PROGRAMMED)
        .is_some_and(|condition| condition.status == "True" && condition.observed_generation == generation);
    let rest = match programming {
        Programming::Done => done(),
        Programming::Refused(message) => not_done("Refused", message),
        Programming::Pending { .. } | Programming::Unknown if was_done => done(),
        Programming::Pending { reason, message } => not_done(reason, message),
        Programming::Unknown => not_done("Waiting", "waiting for the broker"),
    };
    std::iter::once(accepted).chain(rest).collect()
}

/// The status of a channel that is deleted and that its broker keeps: as it was, and why it is still there.
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
    let mut kept: Vec<Condition> = old
        .conditions
        .iter()
        .filter(|condition| condition.type_ != kind::DELETION_BLOCKED)
        .cloned()
        .collect();
    // The deletion itself is a new generation; nothing changes for clients by it.
    if is_true(&kept, kind::PROGRAMMED) {
        kept.iter_mut().for_each(|condition| condition.observed_generation = generation);
    }
    let blocked = Assertion::holds(kind::DELETION_BLOCKED, reason, message);
    kept.extend(conditions(&old.conditions, generation, now, [blocked]));
    MessageChannelStatus { observed_generation: generation, conditions: kept, backlog, ..old }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::{Pending, State},
        message_channel::validate::{
            tests::{facts, open},
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
}
