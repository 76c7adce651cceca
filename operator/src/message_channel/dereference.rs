//! What a MessageChannel refers to: its broker, and what became of it there.

use std::sync::Arc;

use kube::{Resource, runtime::reflector::ObjectRef};
use restante_crds::{Backlog, MessageBrokerStatus, MessageChannel, condition::kind};
use uuid::Uuid;

use super::deletion;
use crate::{
    conditions::is_true,
    context::Context,
    fleet::{Availability, Member, Outcome},
    message_broker::deleting::waits_for,
    ownership,
};

/// What a MessageChannel refers to.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its broker.
    pub broker: BrokerState,
    /// What the broker's task says of it.
    pub outcome: Option<Outcome>,
    /// Whether the broker is there for its clients.
    pub availability: Availability,
    /// The backlog that its status should show.
    pub backlog: Option<Backlog>,
    /// Whether nobody can tell its backlog, not even roughly.
    pub backlog_is_unknown: bool,
    /// The MessageBroker that has it, as its status should tell.
    pub current_broker: Option<String>,
}

/// The broker that a channel names.
#[derive(Debug, Clone)]
pub enum BrokerState {
    /// There is no broker of this name, in words.
    NotFound(String),
    /// There is none, as the installation's manifest of it is refused.
    Refused {
        /// That there is none, in words.
        gone: String,
        /// What is refused, and what to do.
        why: String,
    },
    /// It is being deleted, in words.
    Leaving(String),
    /// It is there, and served in a moment.
    Starting,
    /// It is there and cannot be served, or has not been for long: the reason, or where it is.
    NotServed(String),
    /// It is served; the URL is what those of channels begin with.
    Served {
        /// What the broker's task shares.
        member: Arc<Member>,
        /// What URLs begin with.
        url: String,
        /// Whether it has the store that it had.
        store: StoreState,
    },
}

/// The store of a broker, as its MessageBroker tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// Nothing is known of it yet.
    Unknown,
    /// Another than it should have, and nobody accepted that one.
    Replaced,
    /// This one. A pod may have come since with another.
    Known(Uuid),
}

impl StoreState {
    /// By the status of the MessageBroker.
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
    /// The broker's task.
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

/// Looks up what a channel refers to. Nothing is asked over the network: all of it is watched.
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
    let told = member.zip(uid);
    Facts {
        availability,
        outcome: told.as_ref().and_then(|(member, uid)| member.outcome(*uid)),
        backlog: told.as_ref().and_then(|(member, uid)| member.backlog(*uid)),
        backlog_is_unknown: backlog_is_unknown
            || matches!(broker, BrokerState::NotFound(_) | BrokerState::Leaving(_)),
        current_broker: ownership::broker_of(channel, context.ownership.namespace()),
        broker,
    }
}

fn broker(context: &Context, channel: &MessageChannel) -> BrokerState {
    let name = &channel.spec.broker_ref.name;
    // Only channels of this operator come here, whose brokers are in its namespace.
    let namespace = context.ownership.namespace();
    let told = |why: &str| format!("MessageBroker {name} in namespace {namespace} {why}");
    if !*context.seen.borrow() {
        // What is not in half a list may exist all the same.
        return BrokerState::Starting;
    }
    match context.brokers.get(&ObjectRef::new(name).within(namespace)) {
        None => {
            let gone = told("does not exist");
            match context.default_differs.missing_cause(name) {
                Some(why) => BrokerState::Refused { gone, why },
                None => BrokerState::NotFound(gone),
            }
        }
        Some(broker) if broker.meta().deletion_timestamp.is_some() => {
            BrokerState::Leaving(told(&format!("is being deleted ({})", waits_for(broker.meta()))))
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

/// A broker that is there and not served.
fn not_served(context: &Context, channel: &MessageChannel) -> BrokerState {
    let (name, namespace) = (&channel.spec.broker_ref.name, context.ownership.namespace());
    if let Some(why) = context.fleet.unserved_cause(name) {
        return BrokerState::NotServed(format!("the operator cannot serve MessageBroker {name}: {why}"));
    }
    if !deletion::is_patience_over(channel, context.started, context.now()) {
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
        let told = |store: serde_json::Value, replaced: &str| {
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
        assert_eq!(told(json!(id.to_string()), "False"), StoreState::Known(id));
        assert_eq!(told(json!(id.to_string()), "True"), StoreState::Replaced);
        assert_eq!(told(json!(null), "False"), StoreState::Unknown);
        assert_eq!(StoreState::of(None), StoreState::Unknown);
    }
}
