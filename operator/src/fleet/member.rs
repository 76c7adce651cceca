//! The state that reconciles share with a broker's task.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kube::runtime::reflector::ObjectRef;
use restante_crds::{Backlog, MessageBroker};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    changes::{Changes, ChannelRef},
    outcome::{Deletion, Outcome},
    presence::Presence,
};

/// The limit of commands waiting for the broker's task. It exceeds the number of concurrent reconciles.
const COMMANDS_MAX: usize = 64;

/// The facts about a served MessageBroker that its task needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerFacts {
    pub uid: String,
    pub token: String,
    /// The prefix of the channels' URLs.
    pub url: String,
}

/// The state of the stores of a broker's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Channels in the address store.
    pub channels: Option<u64>,
    pub orphans: Option<u64>,
    /// The revision of the address store.
    pub revision: Option<String>,
    /// The id of the data folder.
    pub store_id: Option<Uuid>,
}

/// A broker that the operator serves.
#[derive(Debug)]
pub struct Member {
    /// The MessageBroker's name.
    pub name: String,
    /// Ends the broker's task.
    pub stop: CancellationToken,
    pub(super) presence: Arc<Presence>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) wake: Notify,
    changes: Mutex<Changes>,
    facts: Mutex<BrokerFacts>,
    keeps_children: AtomicBool,
    pub(super) outcomes: Mutex<HashMap<Uuid, Outcome>>,
    pub(super) backlogs: Mutex<HashMap<Uuid, Backlog>>,
    pub(super) view: Mutex<View>,
}

/// A command of a reconcile for the broker's task. Only the task talks to the pods, so that a deletion never races with
/// a set.
#[derive(Debug)]
pub(super) enum Command {
    /// Delete a channel at the broker.
    Delete { uid: Uuid, force: bool, store: Option<Uuid>, reply: oneshot::Sender<Deletion> },
    /// Never send a channel that was never sent to a pod. The reply is true if no pod has received it or will receive
    /// it.
    DiscardUnsent { uid: Uuid, reply: oneshot::Sender<bool> },
    /// Remove a channel from the set, so that it becomes an orphan at the broker.
    Release { uid: Uuid, reply: oneshot::Sender<()> },
}

impl Member {
    pub(super) fn new(
        name: String,
        facts: BrokerFacts,
        stop: CancellationToken,
        presence: Arc<Presence>,
    ) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let member = Self {
            name,
            stop,
            presence,
            commands,
            wake: Notify::new(),
            // Nothing is known yet.
            changes: Mutex::new(Changes::All),
            facts: Mutex::new(facts),
            keeps_children: AtomicBool::new(false),
            outcomes: Mutex::default(),
            backlogs: Mutex::default(),
            view: Mutex::default(),
        };
        (member, receiver)
    }

    pub fn facts(&self) -> BrokerFacts {
        lock(&self.facts).clone()
    }

    /// Sets the facts, and returns whether they changed.
    pub(super) fn set_facts(&self, facts: BrokerFacts) -> bool {
        let mut old = lock(&self.facts);
        let differs = *old != facts;
        *old = facts;
        differs
    }

    /// Records that the MessageBroker is being deleted without its children.
    pub fn keep_children(&self) {
        self.keeps_children.store(true, Ordering::Relaxed);
    }

    /// Whether the children stay after the deletion of the MessageBroker.
    pub fn keeps_children(&self) -> bool {
        self.keeps_children.load(Ordering::Relaxed)
    }

    /// The outcome of a channel, if the broker's task has published one.
    pub fn outcome(&self, uid: Uuid) -> Option<Outcome> {
        lock(&self.outcomes).get(&uid).cloned()
    }

    /// The backlog that the status of a channel should show.
    pub fn backlog(&self, uid: Uuid) -> Option<Backlog> {
        lock(&self.backlogs).get(&uid).cloned()
    }

    /// The state of the pods' stores.
    pub fn view(&self) -> View {
        lock(&self.view).clone()
    }

    /// Records that a channel changed in Kubernetes.
    pub(super) fn channel_changed(&self, uid: Uuid, channel: ChannelRef) {
        lock(&self.changes).add(uid, channel);
        self.wake();
    }

    /// Records that any channel may have changed in Kubernetes.
    pub(super) fn all_channels_changed(&self) {
        *lock(&self.changes) = Changes::All;
        self.wake();
    }

    pub(super) fn take_changes(&self) -> Changes {
        std::mem::take(&mut lock(&self.changes))
    }

    /// Wakes the broker's task for another turn.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Deletes a channel at the broker, if the broker has this store. Without `store`, the broker may have any store.
    pub async fn delete(&self, uid: Uuid, force: bool, store: Option<Uuid>) -> Deletion {
        let (reply, answer) = oneshot::channel();
        let stopped = || Deletion::Unreachable(format!("MessageBroker {} is not served any more", self.name));
        if self.commands.send(Command::Delete { uid, force, store, reply }).await.is_err() {
            return stopped();
        }
        answer.await.unwrap_or_else(|_| stopped())
    }

    /// Discards a channel that was never sent to a pod, and returns whether it was never sent.
    pub async fn discard_unsent(&self, uid: Uuid) -> bool {
        let (reply, answer) = oneshot::channel();
        // If the task has ended, another task may send the channel.
        self.commands.send(Command::DiscardUnsent { uid, reply }).await.is_ok()
            && answer.await.unwrap_or(false)
    }

    /// Removes a channel from the set. It becomes an orphan at the broker, and its messages stay there.
    pub async fn release(&self, uid: Uuid) {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Release { uid, reply }).await.is_ok() {
            // A task that has ended programs nothing any more, which has the same effect.
            let _stopped = answer.await;
        }
    }
}

pub(super) fn broker_ref(name: &str, namespace: &str) -> ObjectRef<MessageBroker> {
    ObjectRef::new(name).within(namespace)
}

/// Ignores poisoning: no code panics while it holds one of these locks, and the values would still be consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
