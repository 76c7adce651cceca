//! The task of one broker: it alone programs the broker's pods, in turns. A turn looks at the channels and the pods,
//! brings each pod in line, and tells what became of the channels.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use kube::{
    ResourceExt,
    core::DeserializeGuard,
    runtime::{events::EventType, reflector::ObjectRef},
};
use restante_crds::{Backlog, MessageChannel};
use restante_wire::{ChannelStats, ProblemType};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{
    Surroundings,
    backlog::{Pace, rounded, sum},
    control::{Control, ControlError},
    desired::Desired,
    link::{Link, incarnation},
    member::{Command, Member, View, broker_ref, lock},
    outcome::{Deletion, Outcome, Pending, State},
};
use crate::{jitter, names::BROKER_LABEL};

/// Between two looks at the backlogs and the revision.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);
/// How long changes are gathered before a turn: of many that come at once, most go out together.
const GATHER: Duration = Duration::from_millis(20);
/// The most channels whose counts are asked for one by one after they were programmed.
const SINGLE_STATS_MAX: usize = 8;

pub(super) struct Actor {
    member: Arc<Member>,
    commands: mpsc::Receiver<Command>,
    around: Surroundings,
    desired: Desired,
    /// Channels that are let go and that the watch may still tell of.
    released: HashSet<Uuid>,
    /// Channels that the broker refused, with their generation and why.
    refused: HashMap<Uuid, (i64, String)>,
    /// Running pods, by UID.
    links: HashMap<String, Link>,
    /// The generation that pods had when last asked; it is on their disks even while they restart.
    acknowledged: HashMap<Uuid, i64>,
    pace: Pace,
    look_at: Instant,
}

impl Actor {
    pub(super) fn new(member: Arc<Member>, commands: mpsc::Receiver<Command>, around: Surroundings) -> Self {
        let now = Instant::now();
        Self {
            member,
            commands,
            around,
            desired: Desired::default(),
            released: HashSet::new(),
            refused: HashMap::new(),
            links: HashMap::new(),
            acknowledged: HashMap::new(),
            pace: Pace::new(now),
            look_at: now + LOOK_INTERVAL,
        }
    }

    pub(super) async fn run(mut self) {
        let (stop, member) = (self.member.stop.clone(), Arc::clone(&self.member));
        // Nothing is programmed from a list that may be half of one: what is missing in it would become orphans.
        tokio::select! {
            ready = self.around.channels.wait_until_ready() => if ready.is_err() { return },
            () = stop.cancelled() => return,
        }
        tokio::select! {
            ready = self.around.pods.wait_until_ready() => if ready.is_err() { return },
            () = stop.cancelled() => return,
        }
        loop {
            self.turn().await;
            let due = self
                .links
                .values()
                .map(Link::due)
                .chain([self.look_at])
                .min()
                .unwrap_or(self.look_at);
            tokio::select! {
                () = stop.cancelled() => return,
                Some(command) = self.commands.recv() => self.obey(command).await,
                () = member.wake.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        self.see_pods(now);
        let facts = self.member.facts();
        // A channel that is refused is taken out of the set, and the rest is tried again.
        loop {
            self.see_channels();
            let mut refused = None;
            for link in self.links.values_mut() {
                let control = link.control(&self.around.http, &facts.token);
                refused = link
                    .bring_in_line(&control, &self.desired, &self.around.metrics, now)
                    .await;
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
            self.refused
                .insert(refused.uid, (config.generation, refused.reason));
        }
        let new = self.tell_outcomes();
        if self.look_at <= now {
            self.look_at = now + jitter::around(LOOK_INTERVAL);
            self.look(&facts.token).await;
        } else if !new.is_empty() {
            self.first_look(&new, &facts.token).await;
        }
    }

    /// Which pods there are.
    fn see_pods(&mut self, now: Instant) {
        let mut running = HashSet::new();
        for pod in self.around.pods.state() {
            if pod.labels().get(BROKER_LABEL) != Some(&self.member.name) {
                continue;
            }
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

    /// Which channels there should be.
    fn see_channels(&mut self) {
        let state = self.around.channels.state();
        let channels: Vec<&MessageChannel> = state
            .iter()
            .filter_map(|channel| channel.0.as_ref().ok())
            .filter(|channel| self.is_ours(channel))
            .collect();
        let generations: HashMap<Uuid, i64> = channels
            .iter()
            .filter_map(|channel| Some((uid_of(channel)?, channel.metadata.generation.unwrap_or(1))))
            .collect();
        self.released.retain(|uid| generations.contains_key(uid));
        // Another generation is another question.
        self.refused
            .retain(|uid, (generation, _)| generations.get(uid) == Some(&*generation));
        let excluded = self.released.iter().chain(self.refused.keys()).copied().collect();
        self.desired.update(channels, &excluded);
        self.acknowledged
            .retain(|uid, _| self.desired.channels().contains_key(uid));
    }

    fn is_ours(&self, channel: &MessageChannel) -> bool {
        let broker = &channel.spec.broker_ref;
        broker.name == self.member.name
            && broker
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == self.around.namespace)
    }

    /// Tells what became of every channel, and asks for a reconcile of those for which that is news. Gives the channels
    /// whose backlog no one has looked at yet.
    fn tell_outcomes(&mut self) -> Vec<Uuid> {
        let pending = match self
            .links
            .values()
            .find_map(|link| link.error.as_ref().map(|error| (link, error)))
        {
            None => Pending::NoPod,
            Some((link, error)) => Pending::Unreachable(format!("pod {}: {error}", link.pod)),
        };
        let mut told: HashMap<Uuid, Outcome> = HashMap::new();
        for (uid, config) in self.desired.channels() {
            let everywhere = !self.links.is_empty() && self.links.values().all(|link| link.known.has(config));
            if everywhere {
                self.acknowledged.insert(*uid, config.generation);
            }
            let state = if self.acknowledged.get(uid) == Some(&config.generation) {
                State::Programmed
            } else {
                State::Pending(pending.clone())
            };
            told.insert(
                *uid,
                Outcome {
                    generation: config.generation,
                    state,
                },
            );
        }
        for (uid, lost) in self.desired.lost() {
            let state = State::Lost(lost.conflict.clone());
            told.insert(
                *uid,
                Outcome {
                    generation: lost.generation,
                    state,
                },
            );
        }
        for (uid, (generation, reason)) in &self.refused {
            told.insert(
                *uid,
                Outcome {
                    generation: *generation,
                    state: State::Refused(reason.clone()),
                },
            );
        }
        let mut outcomes = lock(&self.member.outcomes);
        let news: HashSet<Uuid> = told
            .iter()
            .filter(|(uid, outcome)| outcomes.get(uid) != Some(outcome))
            .map(|(uid, _)| *uid)
            .collect();
        *outcomes = told;
        drop(outcomes);
        let mut backlogs = lock(&self.member.backlogs);
        backlogs.retain(|uid, _| self.desired.channels().contains_key(uid));
        let unseen = self
            .acknowledged
            .keys()
            .filter(|uid| !backlogs.contains_key(uid))
            .copied()
            .collect();
        drop(backlogs);
        self.trigger(&news);
        self.tell_view();
        unseen
    }

    /// Tells what the pods say of themselves.
    fn tell_view(&self) {
        let Some(store) = self.links.values().find_map(|link| link.known.store.as_ref()) else {
            return;
        };
        let view = View {
            channels: Some(store.channels),
            orphans: Some(store.orphans),
            revision: Some(store.revision.to_string()),
            store_id: Some(store.store_id),
        };
        let mut old = lock(&self.member.view);
        // Counts are told at each look, so that a thousand new channels are a few status writes of their broker; the
        // first word and another disk are told at once.
        let at_once = old.store_id != view.store_id;
        *old = view;
        drop(old);
        if at_once {
            self.trigger_broker();
        }
    }

    fn trigger_broker(&self) {
        let broker = broker_ref(&self.member.name, &self.around.namespace);
        self.around
            .broker_triggers
            .extend([ObjectRef::new(&broker.name).within(&self.around.namespace)]);
    }

    fn trigger(&self, uids: &HashSet<Uuid>) {
        if uids.is_empty() {
            return;
        }
        let state = self.around.channels.state();
        self.around.channel_triggers.extend(
            state
                .iter()
                .filter(|guard| {
                    guard
                        .uid()
                        .and_then(|uid| uid.parse().ok())
                        .is_some_and(|uid| uids.contains(&uid))
                })
                .map(|guard| ObjectRef::from_obj(guard.as_ref())),
        );
    }

    /// Looks at the backlogs of channels that were just programmed, so that their first status tells it.
    async fn first_look(&mut self, new: &[Uuid], token: &str) {
        let mut counts = HashMap::new();
        for link in self.links.values() {
            let control = link.control(&self.around.http, token);
            let Ok(stats) = some_stats(&control, new).await else {
                return;
            };
            add(&mut counts, stats);
        }
        self.tell_backlogs(&counts);
    }

    /// Looks at every backlog, and at whether the address stores still hold what they were given.
    async fn look(&mut self, token: &str) {
        let mut counts = HashMap::new();
        let mut complete = !self.links.is_empty();
        for link in self.links.values_mut() {
            let control = link.control(&self.around.http, token);
            match control.stats().await {
                Ok(stats) => add(&mut counts, stats),
                Err(_) => complete = false,
            }
            if let Ok(store) = control.revision().await
                && link.heard(store, &self.desired)
            {
                self.around.metrics.drifts.inc();
                let note = format!(
                    "the address store of pod {} holds revision {} instead of {}: sending the whole set",
                    link.pod,
                    link.revision().unwrap_or_default(),
                    self.desired.revision()
                );
                tracing::warn!(broker = self.member.name, "{note}");
                let broker = broker_ref(&self.member.name, &self.around.namespace);
                let mut reference: k8s_openapi::api::core::v1::ObjectReference = broker.into();
                reference.uid = Some(self.member.facts().uid);
                self.around
                    .events
                    .publish_to(&reference, EventType::Warning, "AddressStoreDrifted", note)
                    .await;
                self.member.wake();
            }
        }
        if complete {
            self.tell_backlogs(&counts);
        }
        self.trigger_broker();
    }

    /// Publishes the backlogs whose status may be written now.
    fn tell_backlogs(&mut self, counts: &HashMap<Uuid, ChannelStats>) {
        let now = Instant::now();
        let shown = self.shown_backlogs();
        let mut news = HashSet::new();
        {
            let mut backlogs = lock(&self.member.backlogs);
            for (uid, stats) in counts
                .iter()
                .filter(|(uid, _)| self.desired.channels().contains_key(uid))
            {
                let backlog = rounded(stats);
                match backlogs.entry(*uid) {
                    Entry::Occupied(mut told) => {
                        if *told.get() != backlog && self.pace.may_write(*uid, now) {
                            told.insert(backlog);
                            news.insert(*uid);
                        }
                    }
                    Entry::Vacant(place) => match shown.get(uid) {
                        // The status shows one from before the operator started: go on from there.
                        Some(shown) => {
                            place.insert(shown.clone());
                        }
                        None => {
                            place.insert(backlog);
                            news.insert(*uid);
                        }
                    },
                }
            }
        }
        self.trigger(&news);
    }

    /// The backlogs that statuses show now.
    fn shown_backlogs(&self) -> HashMap<Uuid, Backlog> {
        let state = self.around.channels.state();
        let channels = state
            .iter()
            .filter_map(|guard: &Arc<DeserializeGuard<MessageChannel>>| guard.0.as_ref().ok());
        channels
            .filter_map(|channel| Some((uid_of(channel)?, channel.status.clone()?.backlog?)))
            .collect()
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Delete { uid, force, reply } => {
                let deletion = self.delete(uid, force).await;
                if matches!(deletion, Deletion::Deleted(_)) {
                    self.released.insert(uid);
                    self.pace.forget(uid);
                    self.member.wake();
                }
                // Whoever asked may have given up; the next reconcile asks again, and a repeat is harmless.
                let _gave_up = reply.send(deletion);
            }
            Command::LetGo { uid, reply } => {
                self.released.insert(uid);
                self.pace.forget(uid);
                self.member.wake();
                let _gave_up = reply.send(());
            }
        }
    }

    async fn delete(&mut self, uid: Uuid, force: bool) -> Deletion {
        self.see_pods(Instant::now());
        if self.links.is_empty() {
            return Deletion::Unreachable(format!("no pod of MessageBroker {} runs", self.member.name));
        }
        let token = self.member.facts().token;
        let mut messages = 0;
        for link in self.links.values_mut() {
            let control = link.control(&self.around.http, &token);
            match control.delete(uid, force).await {
                Ok(deleted) => {
                    messages += deleted.messages;
                    if let Some(known) = &mut link.known.channels {
                        known.remove(&uid);
                    }
                    link.known.store = Some(deleted.store);
                }
                Err(error) if error.problem_type() == Some(ProblemType::ChannelNotEmpty) => {
                    let stats = control.channel_stats(uid).await;
                    return Deletion::NotEmpty(stats.map_or(1, |stats| stats.messages().max(1)));
                }
                Err(error) => return Deletion::Unreachable(format!("pod {}: {error}", link.pod)),
            }
        }
        self.desired.remove(uid);
        Deletion::Deleted(messages)
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

fn add(counts: &mut HashMap<Uuid, ChannelStats>, stats: Vec<ChannelStats>) {
    for one in stats {
        match counts.remove(&one.uid) {
            Some(before) => counts.insert(one.uid, sum(before, &one)),
            None => counts.insert(one.uid, one),
        };
    }
}

fn uid_of(channel: &MessageChannel) -> Option<Uuid> {
    channel.metadata.uid.as_deref()?.parse().ok()
}
