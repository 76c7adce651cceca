//! Commands of a broker's task: deletions requested by a finalizer. Only this code deletes channels at a broker.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    actor::{Actor, Done},
    member::{Command, lock},
    outcome::Deletion,
    pod::Requests,
};

impl Actor {
    pub(super) fn execute(&mut self, command: Command) {
        match command {
            Command::Delete { uid, force, store, reply } => self.begin_deletion(uid, force, store, reply),
            Command::DiscardUnsent { uid, reply } => {
                // Under the lock of the set, without which no task of a pod sends a channel.
                let desired = Arc::clone(&self.broker.desired);
                let mut desired = lock(&desired);
                let is_unsent = self.broker.context.unsent.contains(uid);
                if is_unsent {
                    self.released.insert(uid);
                    desired.remove(uid);
                    self.apply(&mut desired);
                }
                // The caller may have given up. The next reconcile then sends the command again, and repeats have no
                // effect.
                let _gave_up = reply.send(is_unsent);
            }
            Command::Release { uid, reply } => {
                self.release(uid);
                let _gave_up = reply.send(());
            }
        }
    }

    /// Removes a channel from the set, and ignores it until the watch reports that it is gone.
    fn release(&mut self, uid: Uuid) {
        let desired = Arc::clone(&self.broker.desired);
        let mut desired = lock(&desired);
        self.released.insert(uid);
        self.broker.member.presence.forget(uid);
        desired.remove(uid);
        self.apply(&mut desired);
    }

    fn begin_deletion(
        &mut self,
        uid: Uuid,
        force: bool,
        store: Option<Uuid>,
        reply: oneshot::Sender<Deletion>,
    ) {
        self.update_pods();
        if self.pods.is_empty() {
            let name = &self.broker.member.name;
            let nowhere = Deletion::Unreachable(format!("no pod of MessageBroker {name} is running"));
            let _gave_up = reply.send(nowhere);
            return;
        }
        let pods: Vec<Requests> = self.pods.values().map(|pod| pod.requests.clone()).collect();
        self.deletions += 1;
        self.work.spawn(async move { Done::Deletion(uid, delete(&pods, uid, force, store).await, reply) });
    }

    pub(super) fn finish_deletion(
        &mut self,
        uid: Uuid,
        deletion: Deletion,
        reply: oneshot::Sender<Deletion>,
    ) {
        self.deletions -= 1;
        if matches!(deletion, Deletion::Deleted(_)) {
            self.release(uid);
        }
        let _gave_up = reply.send(deletion);
    }
}

/// Deletes a channel at one pod after another, until it cannot be deleted at one.
async fn delete(pods: &[Requests], uid: Uuid, force: bool, store: Option<Uuid>) -> Deletion {
    let mut messages = 0;
    for pod in pods {
        match pod.delete(uid, force, store).await {
            Some(Deletion::Deleted(more)) => messages += more,
            Some(not_deleted) => return not_deleted,
            None => return Deletion::Unreachable("the pod of the broker was just replaced".into()),
        }
    }
    Deletion::Deleted(messages)
}
