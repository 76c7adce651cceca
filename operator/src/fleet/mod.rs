//! The brokers that the operator serves, with one task per broker, which programs its pods.
//!
//! Reconciles of MessageBrokers add and remove brokers. Reconciles of MessageChannels read the outcome of a channel,
//! and are triggered when the outcome changes.

pub mod actor;
pub mod availability;
pub mod backlog;
mod changes;
mod commands;
pub mod control;
pub mod desired;
mod inspect;
pub mod member;
pub mod outcome;
pub mod plan;
mod pod;
pub mod presence;
mod publish;
#[cfg(test)]
mod tests;
pub mod unsent;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use availability::Availability;
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    ResourceExt,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
pub use member::{BrokerFacts, Member, View};
pub use outcome::{Deletion, Outcome, Pending, State};
pub use presence::Presence;
use restante_crds::{MessageBroker, MessageChannel};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
pub use unsent::Unsent;

use self::{actor::Actor, member::lock};
use crate::{
    metrics::Metrics,
    names::BROKER_LABEL,
    ownership::Ownership,
    shared::{events::Events, triggers::Triggers},
};

/// The interval between two inspections of the backlogs and the revision.
const INSPECT_INTERVAL: Duration = Duration::from_secs(15);

/// The state that the tasks of all brokers share.
#[derive(Clone)]
pub struct FleetContext {
    /// Every MessageChannel.
    pub channels: Store<DeserializeGuard<MessageChannel>>,
    /// Every broker pod.
    pub pods: Store<Pod>,
    /// Whether the lists of channels and pods are complete. The stores cannot be asked directly: if several tasks wait
    /// for a store, kube 5.0 wakes only the last one.
    pub seen: watch::Receiver<bool>,
    /// The HTTP client for control APIs.
    pub http: reqwest::Client,
    pub ownership: Arc<Ownership>,
    pub unsent: Arc<Unsent>,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub channel_triggers: Triggers<DeserializeGuard<MessageChannel>>,
    pub broker_triggers: Triggers<DeserializeGuard<MessageBroker>>,
    pub tasks: TaskTracker,
    /// Ends the tasks.
    pub stop: CancellationToken,
    /// Ends the process after the unexpected end of a task.
    pub fatal: CancellationToken,
}

impl FleetContext {
    /// Every pod of a broker, in any state.
    fn pods_of(&self, broker: &str) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.state();
        pods.retain(|pod| pod.labels().get(BROKER_LABEL).is_some_and(|name| name == broker));
        pods
    }

    /// Whether this operator programs the channel at this broker.
    fn belongs_to(&self, broker: &str, channel: &MessageChannel) -> bool {
        channel.spec.broker_ref.name == broker && self.ownership.may_program(channel)
    }
}

/// The brokers of the operator, by name.
pub struct Fleet {
    context: FleetContext,
    brokers: Mutex<HashMap<String, Entry>>,
}

/// A broker whose MessageBroker exists.
struct Entry {
    presence: Arc<Presence>,
    service: Service,
}

/// Whether the operator serves the broker.
enum Service {
    Served(Arc<Member>),
    /// The broker cannot be served. `stop` ends the watch of its availability.
    Unserved {
        why: String,
        stop: CancellationToken,
    },
}

impl Service {
    fn member(&self) -> Option<&Arc<Member>> {
        match self {
            Self::Served(member) => Some(member),
            Self::Unserved { .. } => None,
        }
    }

    fn end(&self) {
        match self {
            Self::Served(member) => member.stop.cancel(),
            Self::Unserved { stop, .. } => stop.cancel(),
        }
    }
}

impl Fleet {
    pub fn new(context: FleetContext) -> Self {
        Self { context, brokers: Mutex::default() }
    }

    /// The broker of this name, if it is served.
    pub fn member(&self, name: &str) -> Option<Arc<Member>> {
        lock(&self.brokers).get(name)?.service.member().cloned()
    }

    /// The presence of the broker of this name, served or not.
    pub fn presence(&self, name: &str) -> Option<Arc<Presence>> {
        lock(&self.brokers).get(name).map(|entry| Arc::clone(&entry.presence))
    }

    pub fn unsent(&self) -> &Unsent {
        &self.context.unsent
    }

    /// Why the broker of this name cannot be served, if known.
    pub fn unserved_cause(&self, name: &str) -> Option<String> {
        match &lock(&self.brokers).get(name)?.service {
            Service::Served(_) => None,
            Service::Unserved { why, .. } => Some(why.clone()),
        }
    }

    /// Starts to serve a broker, or updates its facts. `unready_since` is the time in the MessageBroker's status since
    /// which it has no ready pod.
    pub fn serve(&self, name: &str, facts: BrokerFacts, unready_since: Option<Timestamp>) -> Arc<Member> {
        let mut brokers = lock(&self.brokers);
        if let Some(Entry { service: Service::Served(member), .. }) = brokers.get(name) {
            let url_before = member.facts().url;
            if member.set_facts(facts) {
                member.wake();
            }
            if member.facts().url != url_before {
                self.trigger_channels(name);
            }
            return Arc::clone(member);
        }
        let stop = self.context.stop.child_token();
        let before = brokers.remove(name);
        if let Some(before) = &before {
            before.service.end();
        }
        let presence = before.map(|entry| entry.presence);
        let presence = presence.unwrap_or_else(|| Arc::new(Presence::new(name.to_owned(), unready_since)));
        let (member, commands) = Member::new(name.to_owned(), facts, stop, Arc::clone(&presence));
        let member = Arc::new(member);
        brokers.insert(name.to_owned(), Entry { presence, service: Service::Served(Arc::clone(&member)) });
        let actor = Actor::new(Arc::clone(&member), commands, self.context.clone());
        self.spawn(actor.run());
        self.trigger_channels(name);
        member
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task);
        let fatal = self.context.fatal.clone();
        self.context.tasks.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "the task of a broker ended; the operator stops");
                fatal.cancel();
            }
        });
    }

    /// Stops serving a broker that still exists, and triggers its channels, whose statuses then say why. All other
    /// knowledge of the broker is dropped, so that a restarted operator reports the same.
    pub fn withdraw(&self, name: &str, why: String) {
        let mut brokers = lock(&self.brokers);
        if let Some(Entry { service: Service::Unserved { why: before, .. }, .. }) = brokers.get_mut(name) {
            if *before == why {
                return;
            }
            before.clone_from(&why);
        } else {
            let stop = self.context.stop.child_token();
            let before = brokers.remove(name);
            if let Some(before) = &before {
                before.service.end();
            }
            let presence = before.map(|entry| entry.presence);
            let presence = presence.unwrap_or_else(|| Arc::new(Presence::new(name.to_owned(), None)));
            self.spawn(Arc::clone(&presence).watch(self.context.clone(), stop.clone()));
            let service = Service::Unserved { why: why.clone(), stop };
            brokers.insert(name.to_owned(), Entry { presence, service });
        }
        drop(brokers);
        tracing::warn!(broker = name, why, "cannot serve the MessageBroker");
        self.trigger_channels(name);
    }

    /// Records why a broker cannot be served, unless it is being served.
    pub fn mark_unserved(&self, name: &str, why: String) {
        if self.member(name).is_none() {
            self.withdraw(name, why);
        }
    }

    /// Stops serving a deleted broker.
    fn forget(&self, name: &str) -> Option<Arc<Member>> {
        tracing::info!(broker = name, "the MessageBroker does not exist any more");
        let entry = lock(&self.brokers).remove(name);
        self.trigger_channels(name);
        let entry = entry?;
        entry.service.end();
        entry.service.member().cloned()
    }

    /// Stops serving the deleted brokers, and returns them.
    pub fn sweep(&self, is_there: impl Fn(&str) -> bool) -> Vec<Arc<Member>> {
        // Not under the lock, because `is_there` may ask for a member.
        let names: Vec<String> = lock(&self.brokers).keys().cloned().collect();
        names.iter().filter(|name| !is_there(name)).filter_map(|name| self.forget(name)).collect()
    }

    /// Handles a change of a channel. The store has it already.
    pub fn channel_changed(&self, guard: &DeserializeGuard<MessageChannel>) {
        let Some(uid) = guard.uid().and_then(|uid| uid.parse().ok()) else { return };
        let brokers = lock(&self.brokers);
        let named = guard.0.as_ref().ok().map(|channel| channel.spec.broker_ref.name.as_str());
        // An unreadable channel was readable before, perhaps, at any broker.
        let concerned = brokers.iter().filter(|(name, _)| named.is_none_or(|named| named == *name));
        for member in concerned.filter_map(|(_, entry)| entry.service.member()) {
            member.channel_changed(uid, ObjectRef::from_obj(guard));
        }
    }

    /// Handles a new list of all channels. The store has it already.
    pub fn channels_listed(&self) {
        let brokers = lock(&self.brokers);
        brokers
            .values()
            .filter_map(|entry| entry.service.member())
            .for_each(|member| member.all_channels_changed());
    }

    /// Handles a change of a broker's pod.
    pub fn pod_changed(&self, broker: &str) {
        if let Some(entry) = lock(&self.brokers).get(broker) {
            match &entry.service {
                Service::Served(member) => member.wake(),
                Service::Unserved { .. } => entry.presence.wake.notify_one(),
            }
        }
        // The status of the MessageBroker reports the pods' readiness.
        self.context
            .broker_triggers
            .extend([ObjectRef::new(broker).within(self.context.ownership.namespace())]);
    }

    /// Triggers a reconcile of every channel of a broker.
    pub fn trigger_channels(&self, broker: &str) {
        let channels = self.context.channels.state();
        self.context.channel_triggers.extend(
            channels
                .iter()
                .filter(|channel| {
                    let names_it = |channel: &MessageChannel| channel.spec.broker_ref.name == broker;
                    channel.0.as_ref().is_ok_and(names_it) && self.context.ownership.is_ours(channel.as_ref())
                })
                .map(|channel| ObjectRef::from_obj(channel.as_ref())),
        );
    }
}
