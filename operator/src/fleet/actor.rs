//! The task of one broker. It keeps the desired set of channels, and publishes the outcome of each channel. A task per
//! pod, which ends with this one, sends the set to the pods.
//!
//! It works in turns. A turn never waits. It reads only the channels that changed in Kubernetes since the last turn, and
//! the news of the pods.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use kube::{ResourceExt, runtime::reflector::ObjectRef};
use restante_crds::MessageChannel;
use restante_wire::ChannelConfig;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
    time::Instant,
};
use uuid::Uuid;

use super::{
    FleetContext, INSPECT_INTERVAL,
    changes::{Changes, ChannelRef},
    desired::{Change, Desired},
    inspect::{Counting, Counts},
    member::{Command, Member, lock},
    outcome::{Deletion, Pending},
    pod::{Broker, Pod, incarnation},
};
/// How long a turn waits for further changes, so that many changes at once are sent together.
const GATHER: Duration = Duration::from_millis(20);
/// The limit of deletions in progress: the number of concurrent reconciles. Further deletions wait in the queue of
/// commands.
const DELETIONS_MAX: usize = 32;

/// The task's state. Other parts of it are in `inspect.rs`, `publish.rs` and `commands.rs`.
pub(super) struct Actor {
    pub(super) broker: Broker,
    commands: mpsc::Receiver<Command>,
    /// Released channels, which the watch may still contain.
    pub(super) released: HashSet<Uuid>,
    /// Channels that the broker refused.
    pub(super) refused: HashMap<Uuid, Refused>,
    /// Running pods, by UID.
    pub(super) pods: HashMap<String, Pod>,
    pod_tasks: JoinSet<()>,
    /// Work that waits for pods: deletions, one count of new channels, one inspection.
    pub(super) work: JoinSet<Done>,
    pub(super) deletions: usize,
    /// Channels whose outcome may have changed.
    pub(super) touched: HashSet<Uuid>,
    /// Channels of the set whose current generation not all pods have acknowledged. What was acknowledged stays on the
    /// disks of pods while they restart.
    pub(super) unacknowledged: HashSet<Uuid>,
    /// Why they are not, at the last turn.
    pub(super) pending: Option<Pending>,
    pub(super) counting: Counting,
}

/// A channel that the broker refused.
pub(super) struct Refused {
    pub(super) config: Arc<ChannelConfig>,
    pub(super) reason: String,
}

/// The result of work that waited for pods.
pub(super) enum Done {
    Deletion(Uuid, Deletion, oneshot::Sender<Deletion>),
    /// The counts of new channels, if all pods answered.
    Count(Option<Counts>),
    /// The counts of all channels, if all pods answered.
    Inspection(Option<Counts>),
}

impl Actor {
    pub(super) fn new(member: Arc<Member>, commands: mpsc::Receiver<Command>, context: FleetContext) -> Self {
        Self {
            broker: Broker { member, context, desired: Arc::default(), news: Arc::default() },
            commands,
            released: HashSet::new(),
            refused: HashMap::new(),
            pods: HashMap::new(),
            pod_tasks: JoinSet::new(),
            work: JoinSet::new(),
            deletions: 0,
            touched: HashSet::new(),
            unacknowledged: HashSet::new(),
            pending: None,
            counting: Counting::new(Instant::now()),
        }
    }

    pub(super) async fn run(mut self) {
        let Broker { member, context, news, .. } = self.broker.clone();
        let stop = member.stop.clone();
        // Never program from an incomplete list: the missing channels would become orphans.
        let mut seen = context.seen.clone();
        tokio::select! {
            seen = seen.wait_for(|seen| *seen) => if seen.is_err() { return },
            () = stop.cancelled() => return,
        }
        loop {
            self.turn();
            let due = [member.presence.due(), self.counting.due()].into_iter().flatten().min();
            let due = due.unwrap_or_else(|| Instant::now() + INSPECT_INTERVAL);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(command) = self.commands.recv(), if self.deletions < DELETIONS_MAX => self.execute(command),
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => self.finish(done),
                    Err(error) => return self.failed(&error),
                },
                Some(ended) = self.pod_tasks.join_next() => if let Err(error) = ended {
                    return self.failed(&error);
                },
                () = news.notified() => {}
                () = member.wake.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// A task panicked, which is a defect. A restart of the process repairs more than a broker without its task.
    fn failed(&self, error: &JoinError) {
        tracing::error!(%error, broker = self.broker.member.name, "a task of a broker ended; the operator stops");
        self.broker.context.fatal.cancel();
    }

    fn turn(&mut self) {
        let now = Instant::now();
        self.update_pods();
        self.broker.member.presence.update_availability(&self.broker.context, now);
        self.update_channels();
        self.read_news();
        let touched = std::mem::take(&mut self.touched);
        let news = self.publish_outcomes(touched);
        self.trigger(&news);
        self.start_counts(now);
        self.publish_view(false);
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Deletion(uid, deletion, reply) => self.finish_deletion(uid, deletion, reply),
            Done::Count(counts) => self.finish_count(counts),
            Done::Inspection(counts) => self.finish_inspection(counts),
        }
    }

    /// Starts tasks for new pods, and ends those of pods that are gone.
    pub(super) fn update_pods(&mut self) {
        let Broker { member, context, .. } = &self.broker;
        let mut running = HashSet::new();
        for pod in context.pods_of(&member.name) {
            let (Some(uid), Some(incarnation)) = (pod.uid(), incarnation(&pod)) else {
                continue;
            };
            running.insert(uid.clone());
            match self.pods.entry(uid) {
                Entry::Occupied(pod) => pod.get().notice(incarnation),
                Entry::Vacant(place) => {
                    let (pod, task) = Pod::new(pod.name_any(), incarnation, self.broker.clone());
                    place.insert(pod);
                    self.pod_tasks.spawn(task.run());
                }
            }
        }
        let before = self.pods.len();
        self.pods.retain(|uid, _| running.contains(uid));
        if self.pods.len() < before {
            // The pods that are left may have everything.
            self.acknowledge_all();
        }
    }

    /// Updates the desired set by the channels that changed in Kubernetes, and without the channels that a pod refuses.
    fn update_channels(&mut self) {
        let desired = Arc::clone(&self.broker.desired);
        let mut desired = lock(&desired);
        match self.broker.member.take_changes() {
            Changes::Some(changed) => {
                for (uid, channel) in changed {
                    let guard = self.broker.context.channels.get(&channel);
                    let channel = guard.as_ref().and_then(|guard| guard.0.as_ref().ok());
                    self.consider(&mut desired, uid, channel.filter(|channel| uid_of(channel) == Some(uid)));
                }
            }
            Changes::All => {
                let known = desired.claimants().chain(self.released.iter().copied());
                let mut gone: HashSet<Uuid> = known.chain(self.refused.keys().copied()).collect();
                for guard in self.broker.context.channels.state() {
                    let Ok(channel) = &guard.0 else { continue };
                    let Some(uid) = uid_of(channel) else { continue };
                    gone.remove(&uid);
                    self.consider(&mut desired, uid, Some(channel));
                }
                gone.iter().for_each(|uid| self.consider(&mut desired, *uid, None));
            }
        }
        self.exclude_refused(&mut desired);
        self.apply(&mut desired);
    }

    /// Sets or removes a channel in the desired set.
    fn consider(&mut self, desired: &mut Desired, uid: Uuid, channel: Option<&MessageChannel>) {
        let belongs =
            |channel: &&MessageChannel| self.broker.context.belongs_to(&self.broker.member.name, channel);
        let Some(channel) = channel.filter(belongs) else {
            self.released.remove(&uid);
            self.touched.extend(self.refused.remove(&uid).map(|_| uid));
            return desired.remove(uid);
        };
        // A new generation of a refused channel is tried again.
        let generation = channel.metadata.generation.unwrap_or(1);
        let is_refused = |refused: &Refused| refused.config.generation == generation;
        if self.released.contains(&uid) || self.refused.get(&uid).is_some_and(is_refused) {
            return desired.remove(uid);
        }
        self.touched.extend(self.refused.remove(&uid).map(|_| uid));
        desired.set(channel);
    }

    /// Removes the channels that the pods refuse from the set, so that the pods get the rest.
    fn exclude_refused(&mut self, desired: &mut Desired) {
        for pod in self.pods.values() {
            let Some(refused) = pod.take_refused() else { continue };
            let Some(config) = desired.channels().get(&refused.uid) else { continue };
            tracing::warn!(
                channel = config.qualified_name(),
                reason = refused.reason,
                "the broker refused a channel"
            );
            let config = Arc::clone(config);
            self.refused.insert(refused.uid, Refused { config, reason: refused.reason });
            self.touched.insert(refused.uid);
            desired.remove(refused.uid);
        }
    }

    /// Updates the set, and notifies the pods.
    pub(super) fn apply(&mut self, desired: &mut Desired) {
        let changes = desired.update();
        if changes.iter().any(Change::is_of_the_set) {
            self.pods.values().for_each(|pod| pod.desired_changed(&changes));
        }
        for Change { uid, before, after } in changes {
            self.touched.insert(uid);
            match (before, after) {
                (_, None) => {
                    self.unacknowledged.remove(&uid);
                    self.counting.forget(uid);
                    lock(&self.broker.member.backlogs).remove(&uid);
                }
                (Some(before), Some(after)) if before.generation == after.generation => {}
                (_, Some(_)) => {
                    self.unacknowledged.insert(uid);
                }
            }
        }
    }

    pub(super) fn trigger_broker(&self) {
        let Broker { member, context, .. } = &self.broker;
        let namespace = context.ownership.namespace();
        context.broker_triggers.extend([ObjectRef::new(&member.name).within(namespace)]);
    }

    /// Triggers a reconcile of these channels.
    pub(super) fn trigger(&self, uids: &HashSet<Uuid>) {
        if uids.is_empty() {
            return;
        }
        let desired = lock(&self.broker.desired);
        let references = uids.iter().filter_map(|uid| {
            let config = desired.claimed(*uid).or_else(|| self.refused.get(uid).map(|one| &one.config))?;
            Some(reference(config))
        });
        self.broker.context.channel_triggers.extend(references);
    }
}

pub(super) fn reference(config: &ChannelConfig) -> ChannelRef {
    ObjectRef::new(&config.name).within(&config.namespace)
}

/// The UID of a channel.
pub(super) fn uid_of(channel: &MessageChannel) -> Option<Uuid> {
    channel.metadata.uid.as_deref()?.parse().ok()
}
