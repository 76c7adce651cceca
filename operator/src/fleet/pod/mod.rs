//! The task of one pod, the only one that calls the pod. It sends the desired channels, and answers requests of the
//! broker's task, one after another, so that a deletion never races with a set. A slow pod delays no other pod.

mod link;
mod requests;

use std::sync::{Arc, Mutex, MutexGuard};

use restante_wire::{ChannelConfig, ProblemType, Revision, control::StoreState};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::requests::Request;
pub(super) use self::{
    link::{Incarnation, Link, RefusedChannel, incarnation},
    requests::Requests,
};
use super::{
    FleetContext,
    control::{Control, ControlError},
    desired::{Change, Desired},
    member::{Member, lock},
    plan::Step,
};
use crate::metrics::result_label;

/// Consecutive steps before requests get their turn: ask, send, and both again if another process wrote.
const STEPS_MAX: usize = 4;

/// A pod, as its broker's task sees it. The task of the pod ends when this is dropped.
pub(super) struct Pod {
    link: Arc<Mutex<Link>>,
    wake: Arc<Notify>,
    pub(super) requests: Requests,
    _stop: DropGuard,
}

/// The task of a pod.
pub(super) struct PodTask {
    link: Arc<Mutex<Link>>,
    wake: Arc<Notify>,
    requests: mpsc::Receiver<Request>,
    stop: CancellationToken,
    broker: Broker,
}

/// What the pods of a broker share with the broker's task.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) member: Arc<Member>,
    pub(super) context: FleetContext,
    /// Locked before any link, and only for moments.
    pub(super) desired: Arc<Mutex<Desired>>,
    /// Wakes the broker's task, which then reads the news of its pods.
    pub(super) news: Arc<Notify>,
}

impl Pod {
    /// The pod, and its task, which must be spawned.
    pub(super) fn new(name: String, incarnation: Incarnation, broker: Broker) -> (Self, PodTask) {
        let link = Arc::new(Mutex::new(Link::new(name, incarnation, Instant::now())));
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (requests, receiver) = Requests::new();
        let pod = Self {
            link: Arc::clone(&link),
            wake: Arc::clone(&wake),
            requests,
            _stop: stop.clone().drop_guard(),
        };
        (pod, PodTask { link, wake, requests: receiver, stop, broker })
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        lock(&self.link)
    }

    /// Updates the incarnation.
    pub(super) fn notice(&self, incarnation: Incarnation) {
        if self.link().notice(incarnation) {
            self.wake.notify_one();
        }
    }

    /// Records changes of the desired set, and sends them.
    pub(super) fn desired_changed(&self, changes: &[Change]) {
        let mut link = self.link();
        changes.iter().for_each(|change| link.desired_changed(change));
        self.wake.notify_one();
    }

    /// The channel that the pod refuses, if any. The caller removes it from the set, so the pod tries again at once.
    pub(super) fn take_refused(&self) -> Option<RefusedChannel> {
        let refused = self.link().take_refused()?;
        self.wake.notify_one();
        Some(refused)
    }
}

/// A call that the pod gets next.
struct Call {
    body: Body,
    control: Control,
    epoch: u64,
}

enum Body {
    Ask,
    /// The complete set, and the pod's revision before.
    Sync(Vec<Arc<ChannelConfig>>, Option<Revision>),
    Put(Vec<Arc<ChannelConfig>>),
}

impl PodTask {
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        // A request that is cut off may have been applied. The next task of the pod asks for its revision first.
        let _stopped = stop.run_until_cancelled(self.serve()).await;
    }

    async fn serve(&mut self) {
        loop {
            self.synchronize().await;
            let due = lock(&self.link).due();
            tokio::select! {
                Some(request) = self.requests.recv() => self.answer(request).await,
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// Synchronizes the pod with the desired channels.
    async fn synchronize(&mut self) {
        for _ in 0..STEPS_MAX {
            let Some(Call { body, control, epoch }) = self.next_call() else { return };
            let result = match body {
                Body::Ask => self.ask(&control, epoch).await,
                Body::Sync(channels, before) => self.sync(&control, epoch, &channels, before).await,
                Body::Put(changed) => self.put(&control, epoch, changed).await,
            };
            self.finish(epoch, result);
        }
    }

    /// The next call, if one is due.
    fn next_call(&self) -> Option<Call> {
        let unsent = &self.broker.context.unsent;
        let desired = lock(&self.broker.desired);
        let mut link = lock(&self.link);
        // Unsent channels are recorded before anything is sent. A pod that never answered was sent nothing.
        let body = match link.next(&desired, Instant::now()) {
            Step::Nothing => return None,
            Step::Ask => Body::Ask,
            Step::Sync => {
                unsent.send_set(&desired);
                let before = link.revision();
                Body::Sync(link.known.begin_sync(&desired), before)
            }
            Step::Put(changed) => {
                unsent.send(changed.iter().map(|config| config.uid));
                Body::Put(changed)
            }
        };
        Some(Call { body, control: self.control(&link), epoch: link.epoch })
    }

    fn control(&self, link: &Link) -> Control {
        let Broker { member, context, .. } = &self.broker;
        Control::new(context.http.clone(), link.incarnation.address, member.facts().token)
    }

    /// Runs `record`, unless the pod has restarted since the call.
    fn record(&self, epoch: u64, record: impl FnOnce(&mut Link, &Desired)) {
        let desired = lock(&self.broker.desired);
        let mut link = lock(&self.link);
        if link.epoch == epoch {
            record(&mut link, &desired);
        }
    }

    fn finish(&self, epoch: u64, result: Result<(), ControlError>) {
        self.record(epoch, |link, desired| match result {
            Ok(()) => link.succeeded(),
            Err(error) => link.failed(error, desired, Instant::now()),
        });
        self.broker.news.notify_one();
    }

    async fn ask(&self, control: &Control, epoch: u64) -> Result<(), ControlError> {
        let store = control.revision().await?;
        self.record(epoch, |link, desired| self.update(link, store, desired));
        Ok(())
    }

    /// Records the state of the pod's store.
    fn update(&self, link: &mut Link, store: StoreState, desired: &Desired) {
        if link.update(store, desired) {
            self.broker.context.unsent.send_set(desired);
        }
    }

    async fn sync(
        &self,
        control: &Control,
        epoch: u64,
        channels: &[Arc<ChannelConfig>],
        before: Option<Revision>,
    ) -> Result<(), ControlError> {
        let answer = control.sync(channels).await;
        self.broker.context.metrics.syncs.with_label_values(&[result_label(&answer)]).inc();
        self.record(epoch, |link, _| match &answer {
            Ok(store) => {
                tracing::info!(
                    pod = link.pod, channels = channels.len(), orphans = store.orphans,
                    from = %before.unwrap_or_default(), to = %store.revision, "sent the complete set of channels"
                );
                link.synced(store.clone(), Instant::now());
            }
            Err(_) => link.known.end_sync(None),
        });
        answer.map(drop)
    }

    async fn put(
        &self,
        control: &Control,
        epoch: u64,
        changed: Vec<Arc<ChannelConfig>>,
    ) -> Result<(), ControlError> {
        for config in changed {
            let answer = control.put(&config).await;
            self.broker.context.metrics.puts.with_label_values(&[result_label(&answer)]).inc();
            match answer {
                Ok(store) => self.record(epoch, |link, desired| {
                    link.accepted(config.uid);
                    link.known.accepted(config, store, desired);
                }),
                // Two channels swapped addresses. Only a complete set can express that.
                Err(error) if error.problem_type() == Some(ProblemType::ChannelConflict) => {
                    self.record(epoch, |link, _| link.known.forget_channels());
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
