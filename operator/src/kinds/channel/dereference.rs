//! Looks up a MessageChannel's broker, and the outcome of programming the channel there.

use std::sync::Arc;

use kube::{Resource, runtime::reflector::ObjectRef};
use restante_crds::{Backlog, MessageBrokerStatus, MessageChannel, condition::kind};
use uuid::Uuid;

use super::deletion;
use crate::{
    context::Context,
    fleet::{Availability, Member, Outcome},
    kinds::broker::deleting::waits_for,
    ownership,
    shared::conditions::is_true,
};

/// The facts about a MessageChannel's broker.
#[derive(Debug, Clone)]
pub struct Facts {
    pub broker: BrokerState,
    /// The outcome published by the broker's task.
    pub outcome: Option<Outcome>,
    pub availability: Availability,
    /// The backlog for the status.
    pub backlog: Option<Backlog>,
    /// Whether the backlog is unknown, so that the status must not show one.
    pub backlog_is_unknown: bool,
    /// The MessageBroker that has the channel, for `status.broker`.
    pub current_broker: Option<String>,
}

/// The state of the broker that a channel names.
#[derive(Debug, Clone)]
pub enum BrokerState {
    /// The broker does not exist, with a text about it.
    NotFound(String),
    /// The default broker does not exist, because its manifest is refused.
    Refused {
        /// The text that it does not exist.
        gone: String,
        /// The error of the manifest, and the remedy.
        why: String,
    },
    /// The broker is being deleted, with a text about it.
    Leaving(String),
    /// The broker exists, and will be served in a moment.
    Starting,
    /// The broker exists, but cannot be served, or has not been served for long; the text says why.
    NotServed(String),
    Served {
        member: Arc<Member>,
        /// The prefix of the channels' URLs.
        url: String,
        store: StoreState,
    },
}

/// The store of a broker, according to the status of its MessageBroker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    Unknown,
    /// The store was replaced, and the new one is not accepted.
    Replaced,
    /// The expected store. A new pod may have another one by now.
    Known(Uuid),
}

impl StoreState {
    /// The state according to the status of the MessageBroker.
    pub fn of(status: Option<&MessageBrokerStatus>) -> Self {
        let Some(status) = status else { return Self::Unknown };
        if is_true(&status.conditions, kind::STORE_REPLACED) {
            return Self::Replaced;
        }
        let known = status.store_id.as_deref().and_then(|id| id.parse().ok());
        known.map_or(Self::Unknown, Self::Known)
    }
}

impl BrokerState {
    pub fn member(&self) -> Option<&Arc<Member>> {
        match self {
            Self::Served { member, .. } => Some(member),
            Self::NotFound(_)
            | Self::Refused { .. }
            | Self::Leaving(_)
            | Self::Starting
            | Self::NotServed(_) => None,
        }
    }
}

/// Looks up the facts. All of them are watched, so there is no request over the network.
pub fn dereference(context: &Context, channel: &MessageChannel) -> Facts {
    let broker = broker(context, channel);
    let uid: Option<Uuid> = channel.metadata.uid.as_deref().and_then(|uid| uid.parse().ok());
    let member = broker.member().cloned();
    let presence = match broker {
        BrokerState::NotFound(_) | BrokerState::Leaving(_) => None,
        _ => context.fleet.presence(&channel.spec.broker_ref.name),
    };
    let availability = presence.as_ref().map(|presence| presence.availability()).unwrap_or_default();
    let backlog_is_unknown =
        presence.zip(uid).is_some_and(|(presence, uid)| presence.backlog_is_unknown(uid));
    let published = member.zip(uid);
    Facts {
        availability,
        outcome: published.as_ref().and_then(|(member, uid)| member.outcome(*uid)),
        backlog: published.as_ref().and_then(|(member, uid)| member.backlog(*uid)),
        backlog_is_unknown: backlog_is_unknown
            || matches!(broker, BrokerState::NotFound(_) | BrokerState::Leaving(_)),
        current_broker: ownership::broker_of(channel, context.ownership.namespace()),
        broker,
    }
}

fn broker(context: &Context, channel: &MessageChannel) -> BrokerState {
    let name = &channel.spec.broker_ref.name;
    // The channel belongs to this operator, so its broker is in the operator's namespace.
    let namespace = context.ownership.namespace();
    let text = |why: &str| format!("MessageBroker {name} in namespace {namespace} {why}");
    if !*context.seen.borrow() {
        // A broker missing from an incomplete list may exist.
        return BrokerState::Starting;
    }
    match context.brokers.get(&ObjectRef::new(name).within(namespace)) {
        None => {
            let gone = text("does not exist");
            match context.default_differs.missing_cause(name) {
                Some(why) => BrokerState::Refused { gone, why },
                None => BrokerState::NotFound(gone),
            }
        }
        Some(broker) if broker.meta().deletion_timestamp.is_some() => {
            BrokerState::Leaving(text(&format!("is being deleted ({})", waits_for(broker.meta()))))
        }
        Some(broker) => match context.fleet.member(name) {
            Some(member) => {
                let status = broker.0.as_ref().ok().and_then(|broker| broker.status.as_ref());
                BrokerState::Served { url: member.facts().url, member, store: StoreState::of(status) }
            }
            None => not_served(context, channel),
        },
    }
}

/// The state of a broker that exists and is not served.
fn not_served(context: &Context, channel: &MessageChannel) -> BrokerState {
    let (name, namespace) = (&channel.spec.broker_ref.name, context.ownership.namespace());
    if let Some(why) = context.fleet.unserved_cause(name) {
        return BrokerState::NotServed(format!("the operator cannot serve MessageBroker {name}: {why}"));
    }
    if !deletion::wait_is_over(channel, context.started, context.now()) {
        return BrokerState::Starting;
    }
    BrokerState::NotServed(format!(
        "the operator does not serve MessageBroker {name} yet: see `kubectl -n {namespace} describe messagebroker {name}`"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_store_is_known_by_the_status_unless_it_was_replaced() {
        let id = Uuid::from_u128(7);
        let state = |store: serde_json::Value, replaced: &str| {
            let status: MessageBrokerStatus = serde_json::from_value(json!({
                "storeID": store,
                "conditions": [{
                    "type": "StoreReplaced", "status": replaced, "reason": "R", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            }))
            .unwrap();
            StoreState::of(Some(&status))
        };
        assert_eq!(state(json!(id.to_string()), "False"), StoreState::Known(id));
        assert_eq!(state(json!(id.to_string()), "True"), StoreState::Replaced);
        assert_eq!(state(json!(null), "False"), StoreState::Unknown);
        assert_eq!(StoreState::of(None), StoreState::Unknown);
    }
}
