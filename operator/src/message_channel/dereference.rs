//! What a MessageChannel refers to: its broker, and what became of it there.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use restante_crds::{Backlog, MessageChannel};
use uuid::Uuid;

use super::deletion;
use crate::{
    context::Context,
    fleet::{Member, Outcome},
    ownership,
};

/// What a MessageChannel refers to.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its broker.
    pub broker: BrokerState,
    /// What the broker's task says of it.
    pub outcome: Option<Outcome>,
    /// The backlog that its status should show.
    pub backlog: Option<Backlog>,
    /// The MessageBroker that has it, as its status should tell.
    pub has_it: Option<String>,
}

/// The broker that a channel names.
#[derive(Debug, Clone)]
pub enum BrokerState {
    /// There is no broker of this name, and what to do.
    NotFound(String),
    /// It is being deleted, and what to do.
    Leaving(String),
    /// It is there, and served in a moment.
    Starting,
    /// It is there, and has not been served for long, and where the reason is.
    NotServed(String),
    /// It is served; the URL is what those of channels begin with.
    Served {
        /// What the broker's task shares.
        member: Arc<Member>,
        /// What URLs begin with.
        url: String,
    },
}

impl BrokerState {
    /// The broker's task.
    pub fn member(&self) -> Option<&Arc<Member>> {
        match self {
            Self::Served { member, .. } => Some(member),
            Self::NotFound(_) | Self::Leaving(_) | Self::Starting | Self::NotServed(_) => None,
        }
    }
}

/// Looks up what a channel refers to. Nothing is asked over the network: all of it is watched.
pub fn dereference(context: &Context, channel: &MessageChannel) -> Facts {
    let broker = broker(context, channel);
    let uid: Option<Uuid> = channel.metadata.uid.as_deref().and_then(|uid| uid.parse().ok());
    let member = broker.member().cloned();
    let told = member.zip(uid);
    Facts {
        outcome: told.as_ref().and_then(|(member, uid)| member.outcome(*uid)),
        backlog: told.as_ref().and_then(|(member, uid)| member.backlog(*uid)),
        has_it: ownership::broker_of(channel, context.ownership.namespace()),
        broker,
    }
}

fn broker(context: &Context, channel: &MessageChannel) -> BrokerState {
    let name = &channel.spec.broker_ref.name;
    // Only channels of this operator come here, whose brokers are in its namespace.
    let namespace = context.ownership.namespace();
    let told = |why: &str| {
        format!(
            "MessageBroker {name} in namespace {namespace} {why}: create it, or delete this channel and name another in \
             spec.brokerRef"
        )
    };
    if !*context.seen.borrow() {
        // What is not in half a list may exist all the same.
        return BrokerState::Starting;
    }
    match context.brokers.get(&ObjectRef::new(name).within(namespace)) {
        None => BrokerState::NotFound(told("does not exist")),
        Some(broker) if kube::Resource::meta(broker.as_ref()).deletion_timestamp.is_some() => {
            BrokerState::Leaving(told("is being deleted"))
        }
        Some(_) => match context.fleet.member(name) {
            Some(member) => BrokerState::Served { url: member.facts().url, member },
            None if deletion::is_patience_over(channel, context.started, context.now()) => {
                BrokerState::NotServed(format!(
                    "MessageBroker {name} is not served: see `kubectl -n {namespace} describe messagebroker {name}`"
                ))
            }
            None => BrokerState::Starting,
        },
    }
}
