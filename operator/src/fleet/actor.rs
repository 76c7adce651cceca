//! The task of one broker, the only one that programs the broker's pods. It works in turns: a turn reads the channels
//! and the pods, synchronizes each pod, and publishes the outcomes of the channels.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use kube::{ResourceExt, runtime::reflector::ObjectRef};
use restante_crds::MessageChannel;
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{
    FleetContext, INSPECT_INTERVAL,
    desired::Desired,
    link::{Link, incarnation},
    member::{Command, Member},
};
use crate::shared::jitter;

/// How long a turn waits for further changes, so that many changes at once are sent together.
const GATHER: Duration = Duration::from_millis(20);

/// The task's state. Other parts of it are in `inspect.rs`, `publish.rs` and `commands.rs`.
pub(super) struct Actor {
    pub(super) member: Arc<Member>,
    commands: mpsc::Receiver<Command>,
    pub(super) context: FleetContext,
    pub(super) desired: Desired,
    /// Released channels, which the watch may still contain.
    pub(super) released: HashSet<Uuid>,
    /// Channels that the broker refused, with their generation and the error.
    pub(super) refused: HashMap<Uuid, (i64, String)>,
    /// Running pods, by UID.
    pub(super) links: HashMap<String, Link>,
    /// The generation of each channel that all pods have acknowledged. It stays on their disks while they restart.
    pub(super) acknowledged: HashMap<Uuid, i64>,
    /// When every pod last answered with its backlogs.
    pub(super) complete_at: Instant,
    inspect_at: Instant,
}

impl Actor {
    pub(super) fn new(member: Arc<Member>, commands: mpsc::Receiver<Command>, context: FleetContext) -> Self {
        let now = Instant::now();
        Self {
            member,
            commands,
            context,
            desired: Desired::default(),
            released: HashSet::new(),
            refused: HashMap::new(),
            links: HashMap::new(),
            acknowledged: HashMap::new(),
            complete_at: now,
            inspect_at: now + INSPECT_INTERVAL,
        }
    }

    pub(super) async fn run(mut self) {
        let (stop, member) = (self.member.stop.clone(), Arc::clone(&self.member));
        // Never program from an incomplete list: the missing channels would become orphans.
        let mut seen = self.context.seen.clone();
        tokio::select! {
            seen = seen.wait_for(|seen| *seen) => if seen.is_err() { return },
            () = stop.cancelled() => return,
        }
        loop {
            self.turn().await;
            let others = [self.inspect_at].into_iter().chain(self.member.presence.due());
            let due = self.links.values().map(Link::due).chain(others).min().unwrap_or(self.inspect_at);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(command) = self.commands.recv() => {
                    self.execute(command).await;
                    // A turn reads every channel, so one turn serves all waiting commands.
                    while let Ok(command) = self.commands.try_recv() {
                        self.execute(command).await;
                    }
                }
                () = member.wake.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        self.update_pods(now);
        self.member.presence.update_availability(&self.context, now);
        let facts = self.member.facts();
        // A refused channel is removed from the set, and the rest is sent again.
        loop {
            self.update_channels();
            let mut refused = None;
            for link in self.links.values_mut() {
                let control = link.control(&self.context.http, &facts.token);
                refused = link.synchronize(&control, &self.desired, &self.context, now).await;
                if refused.is_some() {
                    break;
                }
            }
            let Some(refused) = refused else { break };
            let Some(config) = self.desired.channels().get(&refused.uid) else {
                break;
            };
            tracing::warn!(
                channel = config.qualified_name(),
                reason = refused.reason,
                "the broker refused a channel"
            );
            self.refused.insert(refused.uid, (config.generation, refused.reason));
        }
        // Read the backlogs before reconciles are triggered, so that one status write contains both outcome and
        // backlog.
        let mut news = self.publish_outcomes();
        if self.inspect_at <= now {
            self.inspect_at = now + jitter::around(INSPECT_INTERVAL);
            news.extend(self.inspect(&facts.token).await);
        } else {
            news.extend(self.inspect_new(&facts.token).await);
        }
        self.context.trigger(&news);
        self.publish_view(false);
    }

    /// Updates the links to the running pods.
    pub(super) fn update_pods(&mut self, now: Instant) {
        let mut running = HashSet::new();
        for pod in self.context.pods_of(&self.member.name) {
            let (Some(uid), Some(incarnation)) = (pod.uid(), incarnation(&pod)) else {
                continue;
            };
            running.insert(uid.clone());
            match self.links.entry(uid) {
                Entry::Occupied(mut link) => link.get_mut().notice(incarnation),
                Entry::Vacant(place) => {
                    place.insert(Link::new(pod.name_any(), incarnation, now));
                }
            }
        }
        self.links.retain(|uid, _| running.contains(uid));
    }

    /// Updates the desired set of channels.
    fn update_channels(&mut self) {
        let state = self.context.channels.state();
        let channels: Vec<&MessageChannel> = state
            .iter()
            .filter_map(|channel| channel.0.as_ref().ok())
            .filter(|channel| self.context.belongs_to(&self.member.name, channel))
            .collect();
        let generations: HashMap<Uuid, i64> = channels
            .iter()
            .filter_map(|channel| Some((uid_of(channel)?, channel.metadata.generation.unwrap_or(1))))
            .collect();
        self.released.retain(|uid| generations.contains_key(uid));
        // A new generation of a refused channel is tried again.
        self.refused.retain(|uid, (generation, _)| generations.get(uid) == Some(&*generation));
        let excluded = self.released.iter().chain(self.refused.keys()).copied().collect();
        self.desired.update(channels, &excluded);
        self.acknowledged.retain(|uid, _| self.desired.channels().contains_key(uid));
    }

    pub(super) fn trigger_broker(&self) {
        let namespace = self.context.ownership.namespace();
        self.context.broker_triggers.extend([ObjectRef::new(&self.member.name).within(namespace)]);
    }
}

/// The UID of a channel.
pub(super) fn uid_of(channel: &MessageChannel) -> Option<Uuid> {
    channel.metadata.uid.as_deref()?.parse().ok()
}
