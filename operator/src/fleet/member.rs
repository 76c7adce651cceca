//! What reconciles and a broker's task share.

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
    outcome::{Deletion, Outcome},
    presence::Presence,
};

/// Deletions that wait for the broker's task. More reconciles than this never run at once.
const COMMANDS_MAX: usize = 64;

/// What the operator knows of a MessageBroker that it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerFacts {
    /// Its UID.
    pub uid: String,
    /// The control credential.
    pub token: String,
    /// What the URLs of channels begin with.
    pub url: String,
}

/// What a broker's pods say of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Channels in the address store.
    pub channels: Option<u64>,
    /// Orphans at the broker.
    pub orphans: Option<u64>,
    /// The revision of the address store.
    pub revision: Option<String>,
    /// The data folder.
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
    facts: Mutex<BrokerFacts>,
    keeps_children: AtomicBool,
    pub(super) outcomes: Mutex<HashMap<Uuid, Outcome>>,
    pub(super) backlogs: Mutex<HashMap<Uuid, Backlog>>,
    pub(super) view: Mutex<View>,
}

/// What a reconcile asks of the broker's task, which alone talks to the pods: a deletion never races with a set.
#[derive(Debug)]
pub(super) enum Command {
    /// Delete a channel at the broker.
    Delete { uid: Uuid, force: bool, store: Option<Uuid>, reply: oneshot::Sender<Deletion> },
    /// Never send a channel that no pod was ever sent. True: none was, and none will be.
    DiscardUnsent { uid: Uuid, reply: oneshot::Sender<bool> },
    /// Leave a channel to the broker as an orphan.
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
            facts: Mutex::new(facts),
            keeps_children: AtomicBool::new(false),
            outcomes: Mutex::default(),
            backlogs: Mutex::default(),
            view: Mutex::default(),
        };
        (member, receiver)
    }

    /// What the operator knows of the MessageBroker.
    pub fn facts(&self) -> BrokerFacts {
        lock(&self.facts).clone()
    }

    /// Takes new facts, and tells whether they differ.
    pub(super) fn set_facts(&self, facts: BrokerFacts) -> bool {
        let mut old = lock(&self.facts);
        let differs = *old != facts;
        *old = facts;
        differs
    }

    /// The MessageBroker is being deleted, and its children are to stay.
    pub fn keep_children(&self) {
        self.keeps_children.store(true, Ordering::Relaxed);
    }

    /// Whether the children stay when the MessageBroker is gone.
    pub fn keeps_children(&self) -> bool {
        self.keeps_children.load(Ordering::Relaxed)
    }

    /// What became of a channel, if its broker's task has looked at it.
    pub fn outcome(&self, uid: Uuid) -> Option<Outcome> {
        lock(&self.outcomes).get(&uid).cloned()
    }

    /// The backlog that the status of a channel should show.
    pub fn backlog(&self, uid: Uuid) -> Option<Backlog> {
        lock(&self.backlogs).get(&uid).cloned()
    }

    /// What the pods say of themselves.
    pub fn view(&self) -> View {
        lock(&self.view).clone()
    }

    /// Asks the broker's task to look at its channels again.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Deletes a channel at the broker, if it has this store; without one, whichever it has.
    pub async fn delete(&self, uid: Uuid, force: bool, store: Option<Uuid>) -> Deletion {
        let (reply, answer) = oneshot::channel();
        let stopped = || Deletion::Unreachable(format!("MessageBroker {} is not served any more", self.name));
        if self.commands.send(Command::Delete { uid, force, store, reply }).await.is_err() {
            return stopped();
        }
        answer.await.unwrap_or_else(|_| stopped())
    }

    /// Gives up a channel that no pod was ever sent, and tells whether that is so.
    pub async fn discard_unsent(&self, uid: Uuid) -> bool {
        let (reply, answer) = oneshot::channel();
        // Of a task that stopped meanwhile another one may take the place.
        self.commands.send(Command::DiscardUnsent { uid, reply }).await.is_ok()
            && answer.await.unwrap_or(false)
    }

    /// Leaves a channel to the broker as an orphan: it is not in the set any more, and its messages stay.
    pub async fn release(&self, uid: Uuid) {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Release { uid, reply }).await.is_ok() {
            // A task that stopped meanwhile programs nothing any more, which is all that was asked for.
            let _stopped = answer.await;
        }
    }
}

/// The reference by which a MessageBroker is reconciled.
pub(super) fn broker_ref(name: &str, namespace: &str) -> ObjectRef<MessageBroker> {
    ObjectRef::new(name).within(namespace)
}

/// Nothing panics while it holds one of these locks; if it did, the values are still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
