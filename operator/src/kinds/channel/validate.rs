//! Validates a MessageChannel, and evaluates the outcome of programming it. Pure.

use restante_crds::{MessageChannel, compile, condition::kind, dead_letters::DeadLetterFault};
use restante_wire::ChannelConfig;

use super::dereference::{BrokerState, Facts};
use crate::{
    fleet::{Pending, State},
    shared::{conditions::Assertion, stalled::Remedy},
};

/// The reason of Accepted and DeletionBlocked if the MessageBroker does not exist.
pub(super) const BROKER_NOT_FOUND: &str = "BrokerNotFound";
/// The reason of Programmed and DeletionBlocked if the operator cannot serve the MessageBroker.
pub(super) const BROKER_NOT_SERVED: &str = "BrokerNotServed";

/// The result of the validation.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The channel cannot be programmed.
    Rejected {
        /// The reason of the condition Accepted.
        reason: &'static str,
        message: String,
        /// The configuration, if valid.
        config: Option<Box<ChannelConfig>>,
        /// Whether the broker's task must keep the channel among the claims, because it may win later.
        contends: bool,
        /// The channel that won the conflict, as `namespace/name`.
        other: Option<String>,
        remedy: Remedy,
    },
    /// The channel is programmed, or will be.
    Accepted {
        config: Box<ChannelConfig>,
        programming: Programming,
        /// The fault of the dead-letter channel. It is reported, and stops no traffic: dead letters stay in their
        /// channel.
        dead_letter: Option<DeadLetterFault>,
    },
}

/// Whether every broker pod has a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programming {
    /// The broker's task has not published an outcome for this generation yet.
    Unknown,
    /// Every pod has the channel.
    Done,
    /// Not every pod has the channel yet.
    Pending {
        /// The reason of the condition Programmed.
        reason: &'static str,
        message: String,
    },
    /// The broker refuses the channel until it changes.
    Refused(String),
}

impl Verdict {
    /// The failure of the channel, and what can end it. A channel that waits for its broker has not failed.
    pub fn failure(&self) -> Option<(Assertion, Remedy)> {
        match self {
            Self::Rejected { reason, message, remedy, .. } => {
                Some((Assertion::fails(kind::READY, reason, message.clone()), *remedy))
            }
            Self::Accepted { programming: Programming::Refused(message), .. } => {
                Some((Assertion::fails(kind::READY, "Refused", message.clone()), Remedy::Edit))
            }
            Self::Accepted { dead_letter: Some(fault), .. } => Some((
                Assertion::fails(kind::READY, fault.reason(), fault.to_string()),
                Remedy::OtherResource,
            )),
            Self::Accepted { .. } => None,
        }
    }

    /// Whether the channel is in the set of its broker, as far as known.
    pub fn is_at_its_broker(&self) -> bool {
        match self {
            Self::Rejected { .. } | Self::Accepted { programming: Programming::Refused(_), .. } => false,
            Self::Accepted { .. } => true,
        }
    }

    /// The related channel, as `namespace/name`: the winner of the conflict, or the dead-letter channel with a fault.
    pub fn other(&self) -> Option<&str> {
        match self {
            Self::Rejected { other, .. } => other.as_deref(),
            Self::Accepted { dead_letter, .. } => dead_letter.as_ref().map(DeadLetterFault::channel),
        }
    }
}

pub fn validate(channel: &MessageChannel, facts: &Facts) -> Verdict {
    let config = match compile(channel) {
        Ok(config) => Box::new(config),
        Err(error) => {
            return Verdict::Rejected {
                reason: "Invalid",
                message: error.to_string(),
                config: None,
                contends: false,
                other: None,
                remedy: Remedy::Edit,
            };
        }
    };
    if let Some(message) = without_broker(channel, &facts.broker) {
        return Verdict::Rejected {
            reason: BROKER_NOT_FOUND,
            message,
            config: Some(config),
            contends: false,
            other: None,
            remedy: Remedy::OtherResource,
        };
    }
    let outcome = facts.outcome.as_ref().filter(|outcome| outcome.generation == config.generation);
    let programming = match outcome.map(|outcome| &outcome.state) {
        None => match &facts.broker {
            BrokerState::NotServed(message) => {
                Programming::Pending { reason: BROKER_NOT_SERVED, message: message.clone() }
            }
            _ => Programming::Unknown,
        },
        Some(State::Lost(conflict)) => {
            return Verdict::Rejected {
                reason: conflict.reason.as_str(),
                message: conflict.to_string(),
                config: Some(config),
                contends: true,
                other: Some(conflict.winner.clone()),
                remedy: Remedy::OtherResource,
            };
        }
        Some(State::Programmed) => Programming::Done,
        Some(State::Refused(reason)) => Programming::Refused(reason.clone()),
        Some(State::Pending(Pending::NoPod)) => Programming::Pending {
            reason: "NoBrokerPod",
            message: format!("waiting for a pod of MessageBroker {} to run", channel.spec.broker_ref.name),
        },
        Some(State::Pending(Pending::Unreachable(error))) => {
            Programming::Pending { reason: "BrokerUnreachable", message: format!("retrying: {error}") }
        }
    };
    let dead_letter = outcome.and_then(|outcome| outcome.dead_letter.clone());
    Verdict::Accepted { config, programming, dead_letter }
}

/// The message about a missing broker, and the remedy, if the broker is missing.
fn without_broker(channel: &MessageChannel, broker: &BrokerState) -> Option<String> {
    const MOVE: &str = "delete this channel and recreate it with another spec.brokerRef";
    let (gone, remedy) = match broker {
        BrokerState::NotFound(gone) => (gone, format!("create it, or {MOVE}")),
        BrokerState::Refused { gone, why } => (gone, why.clone()),
        BrokerState::Leaving(going) => (going, format!("once it is gone, create it again; or {MOVE}")),
        BrokerState::Starting | BrokerState::NotServed(_) | BrokerState::Served { .. } => return None,
    };
    Some(match channel.metadata.deletion_timestamp {
        None => format!("{gone}: {remedy}"),
        // Advice to delete a deleted channel would be pointless.
        Some(_) => format!("{gone}: see the condition DeletionBlocked"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use restante_crds::conflicts::{Conflict, ConflictReason};
    use serde_json::{Value, json};

    use super::*;
    use crate::fleet::{Availability, Outcome};

    pub(in crate::kinds::channel) fn channel(spec: Value) -> MessageChannel {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": {
                "name": "orders",
                "namespace": "acme",
                "uid": "00000000-0000-0000-0000-000000000001",
                "generation": 3,
            },
            "spec": spec,
        }))
        .unwrap()
    }

    pub(in crate::kinds::channel) fn open() -> MessageChannel {
        channel(json!({ "access": { "anonymous": true } }))
    }

    pub(in crate::kinds::channel) fn facts(generation: i64, state: State) -> Facts {
        let outcome = Outcome { generation, state, dead_letter: None };
        let current_broker = Some("mq/default".into());
        Facts {
            broker: BrokerState::Starting,
            outcome: Some(outcome),
            availability: Availability::Ready,
            backlog: None,
            backlog_is_unknown: false,
            current_broker,
        }
    }

    fn conflict() -> Conflict {
        Conflict {
            reason: ConflictReason::SourceTaken,
            claimed: "acme/orders".into(),
            winner: "acme/first".into(),
            is_older: true,
        }
    }

    #[test]
    fn a_losing_channel_names_the_winner_and_keeps_its_claim() {
        let verdict = validate(&open(), &facts(3, State::Lost(conflict())));
        assert_eq!(verdict.other(), Some("acme/first"));
        let Verdict::Rejected { reason, message, contends, .. } = verdict else { panic!("accepted") };
        assert_eq!((reason, contends), ("SourceTaken", true));
        assert!(message.contains("acme/first"), "{message}");
    }

    #[test]
    fn an_outcome_of_another_generation_is_ignored() {
        for state in [State::Lost(conflict()), State::Programmed] {
            let verdict = validate(&open(), &facts(2, state));
            assert!(
                matches!(verdict, Verdict::Accepted { programming: Programming::Unknown, .. }),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn a_dead_letter_fault_does_not_keep_a_channel_from_its_broker() {
        let fault = DeadLetterFault::NotFound("acme/dead".into());
        let mut facts = facts(3, State::Programmed);
        facts.outcome.as_mut().unwrap().dead_letter = Some(fault.clone());
        let verdict = validate(&open(), &facts);
        assert_eq!(verdict.other(), Some("acme/dead"));
        let Verdict::Accepted { programming, dead_letter, .. } = verdict else { panic!("rejected") };
        assert_eq!((programming, dead_letter), (Programming::Done, Some(fault)));
    }

    #[test]
    fn a_failure_names_its_remedy() {
        let remedy = |channel: &MessageChannel, facts: &Facts| {
            validate(channel, facts).failure().map(|(failure, remedy)| (failure.reason, remedy))
        };
        let bad = channel(json!({ "source": "Not An Address", "access": { "anonymous": true } }));
        let programmed = facts(3, State::Programmed);
        assert_eq!(remedy(&bad, &programmed), Some(("Invalid".into(), Remedy::Edit)));
        let refused = facts(3, State::Refused("too long".into()));
        assert_eq!(remedy(&open(), &refused), Some(("Refused".into(), Remedy::Edit)));
        let lost = facts(3, State::Lost(conflict()));
        assert_eq!(remedy(&open(), &lost), Some(("SourceTaken".into(), Remedy::OtherResource)));
        assert_eq!(remedy(&open(), &programmed), None);
        assert_eq!(remedy(&open(), &facts(3, State::Pending(Pending::NoPod))), None);
    }

    #[test]
    fn programming_reports_a_broker_that_is_not_served_but_not_one_that_starts() {
        let programming = |broker| {
            let facts = Facts {
                broker,
                outcome: None,
                availability: Availability::Ready,
                backlog: None,
                backlog_is_unknown: false,
                current_broker: None,
            };
            match validate(&open(), &facts) {
                Verdict::Accepted { programming, .. } => programming,
                Verdict::Rejected { reason, .. } => panic!("{reason}"),
            }
        };
        assert_eq!(programming(BrokerState::Starting), Programming::Unknown);
        let pending = Programming::Pending { reason: "BrokerNotServed", message: "why".into() };
        assert_eq!(programming(BrokerState::NotServed("why".into())), pending);
    }

    #[test]
    fn a_channel_without_a_broker_is_not_accepted() {
        let nowhere = Facts {
            broker: BrokerState::NotFound("MessageBroker x does not exist".into()),
            outcome: None,
            availability: Availability::Ready,
            backlog: None,
            backlog_is_unknown: false,
            current_broker: None,
        };
        let Verdict::Rejected { reason, contends, .. } = validate(&open(), &nowhere) else {
            panic!("accepted")
        };
        assert_eq!((reason, contends), ("BrokerNotFound", false));
    }

    #[test]
    fn the_message_of_a_deleted_channel_does_not_advise_to_delete_it() {
        let nowhere = Facts {
            broker: BrokerState::NotFound("MessageBroker x does not exist".into()),
            outcome: None,
            backlog: None,
            backlog_is_unknown: false,
            current_broker: None,
            availability: Availability::Ready,
        };
        let mut channel = open();
        let reported = |channel: &MessageChannel| match validate(channel, &nowhere) {
            Verdict::Rejected { message, .. } => message,
            Verdict::Accepted { .. } => panic!("accepted"),
        };
        assert!(
            reported(&channel)
                .starts_with("MessageBroker x does not exist: create it, or delete this channel")
        );
        channel.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(!reported(&channel).contains("delete this channel"));
    }

    #[test]
    fn the_advice_is_to_create_a_broker_only_if_that_is_possible() {
        let reported = |broker| without_broker(&open(), &broker).unwrap();
        let leaving = reported(BrokerState::Leaving("MessageBroker x is being deleted (held)".into()));
        assert_eq!(
            leaving,
            "MessageBroker x is being deleted (held): once it is gone, create it again; or delete this channel and recreate it \
             with another spec.brokerRef"
        );
        let refused =
            reported(BrokerState::Refused { gone: "x does not exist".into(), why: "correct it".into() });
        assert_eq!(refused, "x does not exist: correct it");
    }

    #[test]
    fn a_channel_accepted_by_an_older_definition_may_be_invalid() {
        let bad = channel(json!({ "source": "Not An Address", "access": { "anonymous": true } }));
        let Verdict::Rejected { reason, message, .. } = validate(&bad, &facts(3, State::Programmed)) else {
            panic!("accepted")
        };
        assert_eq!(reason, "Invalid");
        assert!(message.contains("spec.source"), "{message}");
    }
}
