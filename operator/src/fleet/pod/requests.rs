//! Requests of the broker's task to a pod's task: deletions, and counts of messages.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::runtime::{events::EventType, reflector::ObjectRef};
use restante_wire::{ChannelStats, ProblemType};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::PodTask;
use crate::fleet::{
    control::{Control, ControlError},
    member::{broker_ref, lock},
    outcome::Deletion,
};

/// The limit of requests that wait for a pod's task: a count of each kind, and some deletions. Further deletions wait
/// to be queued.
const REQUESTS_MAX: usize = 8;
/// Up to this number of channels, their counts are requested one by one.
const SINGLE_STATS_MAX: usize = 8;

/// A request to a pod's task.
#[derive(Debug)]
pub(super) enum Request {
    /// Delete a channel at the pod.
    Delete { uid: Uuid, force: bool, store: Option<Uuid>, reply: oneshot::Sender<Deletion> },
    /// Read the counts of these channels, and perhaps of others.
    Count { uids: Vec<Uuid>, reply: oneshot::Sender<Vec<ChannelStats>> },
    /// Read all counts, and check whether the address store still has the programmed channels.
    Inspect { reply: oneshot::Sender<Vec<ChannelStats>> },
}

/// Sends requests to a pod's task.
#[derive(Debug, Clone)]
pub(in crate::fleet) struct Requests(mpsc::Sender<Request>);

impl Requests {
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self(sender), receiver)
    }

    /// Deletes a channel at the pod. `None` if the pod is gone.
    pub(in crate::fleet) async fn delete(
        &self,
        uid: Uuid,
        force: bool,
        store: Option<Uuid>,
    ) -> Option<Deletion> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Delete { uid, force, store, reply }).await.ok()?;
        answer.await.ok()
    }

    /// The counts of these channels, and perhaps of others. `None` if the pod did not answer.
    pub(in crate::fleet) async fn count(&self, uids: Vec<Uuid>) -> Option<Vec<ChannelStats>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Count { uids, reply }).await.ok()?;
        answer.await.ok()
    }

    /// The counts of every channel, after a check of the pod's address store. `None` if the pod did not answer.
    pub(in crate::fleet) async fn inspect(&self) -> Option<Vec<ChannelStats>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request::Inspect { reply }).await.ok()?;
        answer.await.ok()
    }
}

impl PodTask {
    pub(super) async fn answer(&mut self, request: Request) {
        let (control, epoch) = {
            let link = lock(&self.link);
            (self.control(&link), link.epoch)
        };
        // A caller that has given up repeats its request later, and repeats have no effect. Without a reply, the caller
        // knows that the pod did not answer.
        match request {
            Request::Delete { uid, force, store, reply } => {
                let _gave_up = reply.send(self.delete(&control, epoch, uid, force, store).await);
            }
            Request::Count { uids, reply } => {
                if let Ok(counts) = some_stats(&control, &uids).await {
                    let _gave_up = reply.send(counts);
                }
            }
            Request::Inspect { reply } => {
                let counts = control.stats().await;
                self.inspect_store(&control, epoch).await;
                if let Ok(counts) = counts {
                    let _gave_up = reply.send(counts);
                }
            }
        }
    }

    async fn delete(
        &self,
        control: &Control,
        epoch: u64,
        uid: Uuid,
        force: bool,
        store: Option<Uuid>,
    ) -> Deletion {
        let unreachable =
            |error: ControlError| Deletion::Unreachable(format!("pod {}: {error}", lock(&self.link).pod));
        let mut shown = lock(&self.link).known.store.as_ref().map(|shown| shown.store_id);
        // A new pod may have another volume, which knows nothing about the channels of the earlier one.
        if store.is_some() && shown.is_none() {
            match control.revision().await {
                Ok(state) => {
                    shown = Some(state.store_id);
                    self.record(epoch, |link, _| link.known.store = Some(state));
                }
                Err(error) => return unreachable(error),
            }
        }
        if let Some(another) = another(store, shown) {
            return Deletion::AnotherStore(another);
        }
        match control.delete(uid, force).await {
            Ok(deleted) => {
                // The pod may have been replaced since its last answer.
                if let Some(another) = another(store, Some(deleted.store.store_id)) {
                    self.record(epoch, |link, _| link.known.store = Some(deleted.store));
                    return Deletion::AnotherStore(another);
                }
                self.record(epoch, |link, desired| link.known.deleted(uid, deleted.store, desired));
                Deletion::Deleted(deleted.messages)
            }
            Err(error) if error.problem_type() == Some(ProblemType::ChannelNotEmpty) => {
                // The last message may have left meanwhile. The next try shows that.
                let stats = control.channel_stats(uid).await.ok();
                Deletion::NotEmpty(stats.filter(|stats| stats.messages() > 0))
            }
            Err(error) => unreachable(error),
        }
    }

    /// Checks whether the address store still has the programmed channels.
    async fn inspect_store(&self, control: &Control, epoch: u64) {
        let Ok(store) = control.revision().await else { return };
        let mut drifted = None;
        self.record(epoch, |link, desired| {
            let (now, was_in_line) = (store.revision, link.is_in_line(desired));
            self.update(link, store, desired);
            if was_in_line && !link.is_in_line(desired) {
                drifted = Some((link.pod.clone(), now, desired.revision()));
            }
        });
        let Some((pod, now, wanted)) = drifted else { return };
        let (member, context) = (&self.broker.member, &self.broker.context);
        context.metrics.drifts.inc();
        tracing::warn!(
            broker = member.name, pod, holds = %now, should_hold = %wanted,
            "address store drift detected in a pod: sending the complete set of channels"
        );
        let namespace = context.ownership.namespace();
        let mut broker: ObjectReference = broker_ref(&member.name, namespace).into();
        broker.uid = Some(member.facts().uid);
        let pod: ObjectReference = ObjectRef::<Pod>::new(&pod).within(namespace).into();
        let note = "the address store of a pod differs from the programmed set of channels: sending the complete set";
        let events = &context.events;
        events
            .publish_about(&broker, EventType::Warning, "AddressStoreDrifted", note.into(), Some(pod))
            .await;
    }
}

async fn some_stats(control: &Control, uids: &[Uuid]) -> Result<Vec<ChannelStats>, ControlError> {
    if uids.len() > SINGLE_STATS_MAX {
        return control.stats().await;
    }
    let mut stats = Vec::new();
    for uid in uids {
        stats.push(control.channel_stats(*uid).await?);
    }
    Ok(stats)
}

/// The pod's store, if it differs from the expected one.
fn another(expected: Option<Uuid>, shown: Option<Uuid>) -> Option<Uuid> {
    shown.filter(|shown| expected.is_some_and(|expected| expected != *shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_store_counts_only_if_one_is_expected() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        assert_eq!(another(Some(one), Some(other)), Some(other));
        assert_eq!(another(Some(one), Some(one)), None);
        assert_eq!(another(None, Some(other)), None);
    }
}
