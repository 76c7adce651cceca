//! Whether a MessageChannel is valid here, and what became of it at its broker. Pure.

use restante_crds::{MessageChannel, compile, dead_letters::DeadLetterFault};
use restante_wire::ChannelConfig;

use super::dereference::{BrokerState, Facts};
use crate::fleet::{Pending, State};

/// What a MessageChannel comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It cannot be programmed until something changes.
    Rejected {
        /// The reason of the condition Accepted.
        reason: &'static str,
        /// What to do.
        message: String,
        /// Its addresses, where they are valid.
        config: Option<Box<ChannelConfig>>,
        /// Whether the broker's task should go on looking at it: it may win one day.
        contends: bool,
    },
    /// It is at its broker, or will be.
    Accepted {
        /// What its spec says.
        config: Box<ChannelConfig>,
        /// Whether every pod has it.
        programming: Programming,
        /// Why its dead letters do not go where its spec says. That is told, and stops no traffic: they stay in it.
        dead_letter: Option<DeadLetterFault>,
    },
}

/// Whether every broker pod has a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programming {
    /// The broker's task has not looked at this generation yet.
    Unknown,
    /// Every pod has it.
    Done,
    /// Not yet.
    Pending {
        /// The reason of the condition Programmed.
        reason: &'static str,
        /// What is in the way.
        message: String,
    },
    /// The broker will not take it until something changes.
    Refused(String),
}

/// Judges a MessageChannel.
pub fn validate(channel: &MessageChannel, facts: &Facts) -> Verdict {
    let config = match compile(channel) {
        Ok(config) => Box::new(config),
        Err(error) => {
            return Verdict::Rejected {
                reason: "Invalid",
                message: error.to_string(),
                config: None,
                contends: false,
            };
        }
    };
    if let BrokerState::NotFound(message) = &facts.broker {
        return Verdict::Rejected {
            reason: "BrokerNotFound",
            message: message.clone(),
            config: Some(config),
            contends: false,
        };
    }
    let outcome = facts.outcome.as_ref().filter(|outcome| outcome.generation == config.generation);
    let programming = match outcome.map(|outcome| &outcome.state) {
        None => Programming::Unknown,
        Some(State::Lost(conflict)) => {
            return Verdict::Rejected {
                reason: conflict.reason.as_str(),
                message: conflict.to_string(),
                config: Some(config),
                contends: true,
            };
        }
        Some(State::Programmed) => Programming::Done,
        Some(State::Refused(reason)) => Programming::Refused(reason.clone()),
        Some(State::Pending(Pending::NoPod)) => Programming::Pending {
            reason: "NoBrokerPod",
            message: format!("waiting for a pod of MessageBroker {} to run", channel.spec.broker_ref.name),
        },
        Some(State::Pending(Pending::Unreachable(error))) => Programming::Pending {
            reason: "BrokerUnreachable",
            message: format!("tried again soon: {error}"),
        },
    };
    let dead_letter = outcome.and_then(|outcome| outcome.dead_letter.clone());
    Verdict::Accepted { config, programming, dead_letter }
}

#[cfg(test)]
pub(super) mod tests {
    use restante_crds::conflicts::{Conflict, ConflictReason};
    use serde_json::{Value, json};

    use super::*;
    use crate::fleet::Outcome;

    pub(in crate::message_channel) fn channel(spec: Value) -> MessageChannel {
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

    pub(in crate::message_channel) fn open() -> MessageChannel {
        channel(json!({ "access": { "anonymous": true } }))
    }

    pub(in crate::message_channel) fn facts(generation: i64, state: State) -> Facts {
        let outcome = Outcome { generation, state, dead_letter: None };
        Facts { broker: BrokerState::Starting, outcome: Some(outcome), backlog: None }
    }

    fn conflict() -> Conflict {
        Conflict {
            reason: ConflictReason::SourceTaken,
            what: "acme/orders".into(),
            winner: "acme/first".into(),
        }
    }

    #[test]
    fn a_loser_is_told_who_won_and_goes_on_contending() {
        let Verdict::Rejected { reason, message, contends, .. } =
            validate(&open(), &facts(3, State::Lost(conflict())))
        else {
            panic!("accepted")
        };
        assert_eq!((reason, contends), ("SourceTaken", true));
        assert!(message.contains("acme/first"), "{message}");
    }

    #[test]
    fn what_was_said_of_another_generation_is_not_about_this_one() {
        for state in [State::Lost(conflict()), State::Programmed] {
            let verdict = validate(&open(), &facts(2, state));
            assert!(
                matches!(verdict, Verdict::Accepted { programming: Programming::Unknown, .. }),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn dead_letters_that_find_nobody_keep_no_channel_from_its_broker() {
        let fault = DeadLetterFault::NotFound("acme/dead".into());
        let mut facts = facts(3, State::Programmed);
        facts.outcome.as_mut().unwrap().dead_letter = Some(fault.clone());
        let Verdict::Accepted { programming, dead_letter, .. } = validate(&open(), &facts) else {
            panic!("rejected")
        };
        assert_eq!((programming, dead_letter), (Programming::Done, Some(fault)));
    }

    #[test]
    fn a_channel_without_a_broker_is_not_accepted() {
        let nowhere = Facts {
            broker: BrokerState::NotFound("MessageBroker x does not exist".into()),
            outcome: None,
            backlog: None,
        };
        let Verdict::Rejected { reason, contends, .. } = validate(&open(), &nowhere) else {
            panic!("accepted")
        };
        assert_eq!((reason, contends), ("BrokerNotFound", false));
    }

    #[test]
    fn what_an_older_definition_let_through_is_invalid() {
        let bad = channel(json!({ "source": "Not An Address", "access": { "anonymous": true } }));
        let Verdict::Rejected { reason, message, .. } = validate(&bad, &facts(3, State::Programmed)) else {
            panic!("accepted")
        };
        assert_eq!(reason, "Invalid");
        assert!(message.contains("spec.source"), "{message}");
    }
}
