//! The status of a MessageChannel. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use restante_crds::{
    Backlog, MessageChannel, MessageChannelStatus, condition, condition::kind, dead_letters::DeadLetterFault,
};
use restante_wire::{ChannelConfig, path};

use super::{
    dereference::{BrokerState, Facts},
    validate::{Programming, Verdict},
};
use crate::{
    fleet::Availability,
    reconcile::status::own,
    shared::conditions::{Assertion, conditions, is_true},
};

/// The reason of Ready of a programmed channel whose broker has no ready pod.
pub(super) const BROKER_NOT_READY: &str = "BrokerNotReady";

/// The status of a channel.
pub fn status(
    channel: &MessageChannel,
    facts: &Facts,
    verdict: &Verdict,
    stalled: Option<Assertion>,
    now: Timestamp,
) -> MessageChannelStatus {
    let old = at_the_same_broker(own(channel), facts);
    let generation = channel.metadata.generation;
    let (config, assertions) = match verdict {
        Verdict::Rejected { reason, message, config, .. } => (config.as_deref(), rejected(reason, message)),
        Verdict::Accepted { config, programming, dead_letter } => {
            let ready = ready(config, dead_letter.as_ref(), facts, &old.conditions);
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
        conditions: conditions(&old.conditions, generation, now, assertions.into_iter().chain(stalled)),
        broker: facts.current_broker.clone(),
        destination: config.map(destination),
        source: config.map(|config| config.source.to_string()),
        push_url: url.zip(config).and_then(|(url, config)| {
            let first = config.destinations.first()?;
            Some(format!("{url}{}", path::messages(first)))
        }),
        pull_url: url.zip(config).map(|(url, config)| format!("{url}{}", path::messages(&config.source))),
        // A channel that is not at its broker has no backlog, because the broker is not asked about it.
        backlog: backlog(facts, old.backlog.filter(|_| verdict.is_at_its_broker())),
    }
}

/// The backlog to show instead of `old`: the last one published by the broker's task, or none if it is unknown.
pub(super) fn backlog(facts: &Facts, old: Option<Backlog>) -> Option<Backlog> {
    facts.backlog.clone().or(old).filter(|_| !facts.backlog_is_unknown)
}

/// The old status. If the broker is another one, without Programmed and the backlog: another broker has none of the
/// messages.
fn at_the_same_broker(mut old: MessageChannelStatus, facts: &Facts) -> MessageChannelStatus {
    if old.broker != facts.current_broker {
        old.conditions.retain(|condition| condition.type_ != kind::PROGRAMMED);
        old.backlog = None;
    }
    old
}

/// The first destination and the number of others, for a column that fits a terminal.
fn destination(config: &ChannelConfig) -> String {
    match &config.destinations[..] {
        [first, others @ ..] if !others.is_empty() => format!("{first},+{}", others.len()),
        destinations => destinations.iter().map(ToString::to_string).collect(),
    }
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

/// The condition Ready of a channel that every pod has.
fn ready(
    config: &ChannelConfig,
    dead_letter: Option<&DeadLetterFault>,
    facts: &Facts,
    old: &[Condition],
) -> Assertion {
    if let Some(fault) = dead_letter {
        return Assertion::fails(kind::READY, fault.reason(), fault.to_string());
    }
    let is_reached = match facts.availability {
        Availability::Ready => true,
        // A restart of the pod is reported only by the MessageBroker. A channel that was never Ready does not become
        // Ready.
        Availability::Unsettled => is_true(old, kind::READY) && is_true(old, kind::PROGRAMMED),
        Availability::Away => false,
    };
    let broker = facts.current_broker.as_deref().unwrap_or("of spec.brokerRef");
    if !is_reached {
        broker_not_ready(facts)
    } else if config.paused {
        let message = format!(
            "MessageBroker {broker} serves the channel, and answers pulls as if the channel were empty until spec.paused is false"
        );
        Assertion::holds(kind::READY, "Paused", message)
    } else {
        Assertion::holds(kind::READY, "Ready", format!("MessageBroker {broker} serves the channel"))
    }
}

/// The condition Ready of a channel whose broker has no ready pod.
pub(super) fn broker_not_ready(facts: &Facts) -> Assertion {
    let message = match facts.current_broker.as_deref().and_then(|broker| broker.split_once('/')) {
        Some((namespace, name)) => format!(
            "MessageBroker {namespace}/{name} has no ready pod: see `kubectl -n {namespace} describe messagebroker {name}`"
        ),
        None => "the MessageBroker of spec.brokerRef has no ready pod".to_owned(),
    };
    Assertion::fails(kind::READY, BROKER_NOT_READY, message)
}

/// The conditions Programmed and Ready. `ready` applies if every pod has the channel.
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
    // A restarting pod has the generation on its disk: a channel stays Programmed until its spec changes.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        fleet::{Pending, State},
        kinds::channel::validate::{
            tests::{channel, facts, open},
            validate,
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status_of(channel: &MessageChannel, facts: &Facts) -> MessageChannelStatus {
        status(channel, facts, &validate(channel, facts), None, at(100))
    }

    fn reported(status: &MessageChannelStatus) -> Vec<(&str, &str, &str)> {
        let tell = |one: &'static str| {
            let condition = condition::find(&status.conditions, one).unwrap();
            (one, condition.status.as_str(), condition.reason.as_str())
        };
        [kind::ACCEPTED, kind::PROGRAMMED, kind::READY].map(tell).into()
    }

    #[test]
    fn a_programmed_channel_is_ready_and_shows_its_addresses() {
        let status = status_of(&open(), &facts(3, State::Programmed));
        assert_eq!(
            reported(&status),
            [
                ("Accepted", "True", "Accepted"),
                ("Programmed", "True", "Programmed"),
                ("Ready", "True", "Ready")
            ]
        );
        let ready = condition::find(&status.conditions, kind::READY).unwrap();
        assert_eq!(ready.message, "MessageBroker mq/default serves the channel");
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(status.broker.as_deref(), Some("mq/default"));
        assert_eq!(status.destination.as_deref(), Some("acme/orders"));
        assert_eq!(status.source.as_deref(), Some("acme/orders"));
    }

    #[test]
    fn an_unchanged_status_is_equal_to_the_old_one() {
        let mut channel = open();
        let first = status_of(&channel, &facts(3, State::Programmed));
        channel.status = Some(first.clone());
        let again = validate(&channel, &facts(3, State::Programmed));
        assert_eq!(status(&channel, &facts(3, State::Programmed), &again, None, at(999)), first);
    }

    #[test]
    fn foreign_conditions_are_not_compared_and_not_written() {
        let mut channel = open();
        let first = status_of(&channel, &facts(3, State::Programmed));
        let mut shown = first.clone();
        let foreign = Assertion::holds("example.com/Audited", "Audited", "");
        shown.conditions.insert(1, conditions(&[], None, at(5), [foreign]).remove(0));
        // An API server may also return them in another order.
        shown.conditions.reverse();
        channel.status = Some(shown);
        assert_eq!(own(&channel), first);
        assert_eq!(status_of(&channel, &facts(3, State::Programmed)), first);
    }

    #[test]
    fn the_status_shows_the_first_destination_and_the_number_of_others() {
        let shown = |destinations: &[&str]| {
            let spec = json!({ "destinations": destinations, "access": { "anonymous": true } });
            status_of(&channel(spec), &facts(3, State::Programmed)).destination.unwrap()
        };
        assert_eq!(shown(&["in"]), "acme/in");
        assert_eq!(shown(&["in", "second", "third"]), "acme/in,+2");
    }

    #[test]
    fn a_restarting_pod_does_not_unprogram_a_channel() {
        let mut channel = open();
        channel.status = Some(status_of(&channel, &facts(3, State::Programmed)));
        let pending = facts(3, State::Pending(Pending::NoPod));
        assert_eq!(reported(&status_of(&channel, &pending))[1], ("Programmed", "True", "Programmed"));
        // The new generation was never programmed.
        channel.metadata.generation = Some(4);
        let pending = facts(4, State::Pending(Pending::NoPod));
        assert_eq!(reported(&status_of(&channel, &pending))[1], ("Programmed", "False", "NoBrokerPod"));
    }

    #[test]
    fn a_channel_is_ready_from_the_first_ready_pod_until_its_broker_is_away() {
        let mut channel = open();
        let mut ready = |availability| {
            let facts = Facts { availability, ..facts(3, State::Programmed) };
            let status = status_of(&channel, &facts);
            let [_, programmed, ready] = reported(&status)[..] else { panic!("{status:?}") };
            assert_eq!(programmed, ("Programmed", "True", "Programmed"));
            let ready = (ready.1.to_owned(), ready.2.to_owned());
            channel.status = Some(status);
            ready
        };
        let yes = ("True".to_owned(), "Ready".to_owned());
        let no = ("False".to_owned(), "BrokerNotReady".to_owned());
        for (availability, reported) in [
            (Availability::Unsettled, &no),
            (Availability::Ready, &yes),
            (Availability::Unsettled, &yes),
            (Availability::Away, &no),
            (Availability::Unsettled, &no),
            (Availability::Ready, &yes),
        ] {
            assert_eq!(ready(availability), *reported, "{availability:?}");
        }
    }

    #[test]
    fn the_message_names_the_broker_without_a_ready_pod_and_a_command() {
        let away = Facts { availability: Availability::Away, ..facts(3, State::Programmed) };
        let message = broker_not_ready(&away).message;
        assert!(message.ends_with("`kubectl -n mq describe messagebroker default`"), "{message}");
    }

    #[test]
    fn a_new_broker_resets_programmed_and_the_backlog() {
        let mut channel = open();
        let mut before = status_of(&channel, &facts(3, State::Programmed));
        before.broker = None;
        before.backlog = Some(Backlog { messages: 7, ..Backlog::default() });
        channel.status = Some(before);
        let status = status_of(&channel, &facts(3, State::Pending(Pending::NoPod)));
        assert_eq!(reported(&status)[1], ("Programmed", "False", "NoBrokerPod"));
        assert_eq!((status.broker.as_deref(), status.backlog), (Some("mq/default"), None));
    }

    #[test]
    fn a_rejected_channel_keeps_its_broker_in_the_status() {
        let mut channel = channel(json!({ "source": "Not An Address", "access": { "anonymous": true } }));
        channel.status =
            Some(MessageChannelStatus { broker: Some("mq/default".into()), ..Default::default() });
        let status = status_of(&channel, &facts(3, State::Programmed));
        assert_eq!(reported(&status)[0], ("Accepted", "False", "Invalid"));
        assert_eq!(status.broker.as_deref(), Some("mq/default"));
    }

    #[test]
    fn a_refused_channel_is_not_programmed() {
        let mut channel = open();
        channel.status = Some(status_of(&channel, &facts(3, State::Programmed)));
        let refused = facts(3, State::Refused("the UID was deleted".into()));
        assert_eq!(reported(&status_of(&channel, &refused))[2], ("Ready", "False", "Refused"));
    }

    #[test]
    fn a_channel_with_a_dead_letter_fault_is_programmed_and_not_ready() {
        for (fault, reason) in [
            (DeadLetterFault::NotFound("acme/dead".into()), "DeadLetterNotFound"),
            (DeadLetterFault::Cycle("acme/dead".into()), "DeadLetterCycle"),
        ] {
            let mut facts = facts(3, State::Programmed);
            facts.outcome.as_mut().unwrap().dead_letter = Some(fault);
            let status = status_of(&open(), &facts);
            assert_eq!(
                reported(&status),
                [
                    ("Accepted", "False", reason),
                    ("Programmed", "True", "Programmed"),
                    ("Ready", "False", reason)
                ]
            );
            let message = &condition::find(&status.conditions, kind::READY).unwrap().message;
            assert!(message.contains("acme/dead") && message.contains("stays in service"), "{message}");
        }
    }

    #[test]
    fn a_paused_channel_is_ready_with_reason_paused() {
        let paused = channel(json!({ "paused": true, "access": { "anonymous": true } }));
        let status = status_of(&paused, &facts(3, State::Programmed));
        assert_eq!(reported(&status)[2], ("Ready", "True", "Paused"));
    }
}
