//! Start: from replayed logs to shards that serve. All logs are replayed at the same time; then the common clock of the
//! broker starts.

use std::{collections::HashSet, sync::Arc};

use restante_wire::channel::Durability;
use uuid::Uuid;

use crate::{
    address_store::{AddressStore, ApplyError},
    channel::{ChannelState, LeaseSealer},
    clock::{Clock, Past},
    first_failure::FirstFailure,
    log::{ChannelId, Log, LogError, Position},
    metrics::Metrics,
    shard::{
        Channel, CounterRegistry, Holder, Ledger, Limits, Placement, Shard, StartError, Wakers,
        channels::{idle::IdleChannels, live::Serving, timers::ChannelTimers},
        contents::HotContents,
        facts::{
            Facts, OpenParcel,
            replay::{Replay, ReplayedKey, ReplayedKeys},
            replay_channels::KnownUids,
        },
        handout::Handouts,
        ids::Ids,
        keys::{KeyRecord, KeyTable},
        ownership::{self, ChannelEvidence},
        pending_moves::PendingMoves,
        reclaim::Reclaim,
        relay::{InRelay, LeftParcel, OutgoingParcels},
    },
    shared::Shared,
};

/// State that all shards of a broker share.
#[derive(Clone)]
pub struct Common {
    pub store: AddressStore,
    /// The sealer of lease tokens.
    pub sealer: LeaseSealer,
    /// The limits of the whole broker.
    pub limits: Limits,
    pub metrics: Arc<Metrics>,
    /// The counters of each channel.
    pub counters: Arc<CounterRegistry>,
    /// The channels' shares of the disk.
    pub disk: Shared<Holder>,
    /// Why the broker's log failed, if it did.
    pub failure: FirstFailure,
    /// Drawn at each start and part of every lease, so that no lease is issued twice.
    start: u64,
}

/// A channel's bound on the volume, as a multiple of the space that is left: beside the reserve for records that empty
/// the log, a single channel can use nearly all of it.
const DISK_TIMES: u64 = 15;

pub struct ReplayedLog<L> {
    log: L,
    here: Placement,
    replay: Replay,
    /// The epoch of the parcels that this run stores.
    epoch: u64,
}

impl Common {
    /// The common state of a broker that starts now.
    pub fn new(
        store: &AddressStore,
        sealer: LeaseSealer,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let start = getrandom::u64().map_err(StartError::Random)?;
        // The logs will set the size.
        let disk = Shared::with_times(u64::MAX, DISK_TIMES, metrics.disk_refused.clone());
        Ok(Self {
            store: store.clone(),
            sealer,
            limits,
            metrics,
            counters: Arc::default(),
            failure: FirstFailure::default(),
            start,
            disk,
        })
    }
}

impl<L: Log> ReplayedLog<L> {
    /// Replays a log that was just opened, and all older ones.
    pub async fn read(mut log: L, here: Placement, store: &AddressStore) -> Result<Self, LogError> {
        let store = store.clone();
        let known = KnownUids::by(move |channel_id| Some(store.by_id(channel_id)?.config.uid));
        let replay = Replay::read(&mut log, here, known).await?;
        Ok(Self { log, here, replay, epoch: 0 })
    }

    /// The facts in the log.
    #[cfg(test)]
    pub(super) fn facts(&mut self) -> &mut Facts<crate::shard::facts::replay::Replaying> {
        &mut self.replay.facts
    }

    /// The times in the log.
    pub fn past(&self) -> Past {
        self.replay.past
    }

    /// Begins an epoch of parcels, higher than any that a log knows. A parcel is sent when its record is on disk, and
    /// its receiver remembers it: so this epoch has no parcel that anyone remembers.
    pub fn begin_epoch(all: &mut [Self]) {
        let newest = all.iter().map(|found| found.replay.newest_epoch).max().unwrap_or(0);
        all.iter_mut().for_each(|found| found.epoch = newest + 1);
    }

    /// Makes sure that every replayed record has an owner. Records of a channel that the address store does not know
    /// get an orphan, unless the channel was deleted.
    pub fn find_owners(all: &mut [Self], store: &AddressStore) -> Result<(), StartError> {
        let mut evidence = ChannelEvidence::default();
        for found in all.iter_mut() {
            evidence.add(found.replay.channel_evidence());
        }
        evidence.to_come.retain(|(from, channel_id)| {
            !all.iter().any(|found| found.replay.facts.incoming.knows(*from, *channel_id))
        });
        let (is_known, is_taken) =
            (|channel_id| store.is_known(channel_id), |uid| store.by_uid(uid).is_some());
        let orphans = evidence.orphans(is_known, is_taken, |uid| store.is_deleted(uid));
        store.begin()?;
        if !orphans.is_empty() {
            tracing::warn!(
                channels = orphans.len(),
                "the log has messages or keys of channels that the address store does not know and that were never deleted; \
                 they are kept as orphans: {}. Each becomes a channel again when the operator sends its UID, or a manifest has its name; \
                 restante-broker dump shows their messages",
                ownership::listed(&orphans)
            );
        }
        let completed = complete_deletions(&evidence, store)?;
        let known = evidence.names.iter().filter(|(_, name)| store.is_deleted(name.uid));
        let deleted: HashSet<ChannelId> = known
            .map(|(channel_id, _)| *channel_id)
            .chain(completed.iter().map(|(channel_id, _)| *channel_id))
            .collect();
        for found in all.iter_mut() {
            found.replay.drop_channels(&deleted);
            // A log may have lost the record of a deletion, which only a later channel of the same name shows. On a full
            // disk the deletion is missing in the address store, too.
            found.replay.facts.closed.extend(completed.iter().copied());
        }
        Ok(store.adopt(orphans.into_iter().map(|orphan| orphan.entry).collect())?)
    }
}

/// Completes deletions that are only in the logs: after a crash between log and address store, or with an older address
/// store. Without room on the disk, these channels exist until the next start, closed. Returns the deleted channels
/// that the address store had, by id.
fn complete_deletions(
    evidence: &ChannelEvidence,
    store: &AddressStore,
) -> Result<Vec<(ChannelId, Uuid)>, StartError> {
    let held = |uid| store.by_uid(uid).map(|entry| entry.id);
    let unfinished = evidence.unfinished(held, |uid| store.is_deleted(uid), store.deletions_room());
    let there: Vec<_> = unfinished.iter().filter_map(|(_, uid)| store.by_uid(*uid)).collect();
    let completed = there.iter().map(|entry| (entry.id, entry.config.uid)).collect();
    if unfinished.is_empty() {
        return Ok(completed);
    }
    match store.complete(&unfinished) {
        Ok(()) => {
            for entry in there {
                let (channel, uid) = (entry.config.qualified_name(), entry.config.uid);
                tracing::info!(channel, %uid, "completed the deletion of a channel that was only in the log");
            }
            Ok(completed)
        }
        Err(error @ (ApplyError::Full(_) | ApplyError::NotWritten { .. })) => {
            tracing::warn!(%error, "deletions that are only in the log are not completed; the next start retries");
            Ok(completed)
        }
        Err(error) => Err(error.into()),
    }
}

impl Limits {
    /// One shard's part of the broker's limits.
    fn of_each(self, shards: usize) -> Self {
        Self {
            idempotency_keys: self.idempotency_keys.div_ceil(shards),
            hot_bytes: self.hot_bytes / shards,
            ..self
        }
    }
}

/// Removes all messages of a channel; its used sequences stay known.
fn empty(facts: &mut Facts<Serving>, state: &ChannelState, dead: &mut Vec<Position>) -> ChannelState {
    for (_, message) in state.messages() {
        facts.release_message(&message, &mut |position| dead.push(position));
    }
    let mut emptied = ChannelState::default();
    emptied.begin_at(state.next_sequence());
    emptied
}

impl<L: Log> Shard<L> {
    /// Creates a shard from a replayed log, once all its records [have an owner](ReplayedLog::find_owners). Messages of
    /// channels with durability `Memory` are dropped.
    pub fn start(found: ReplayedLog<L>, common: Common, clock: Clock) -> Result<Self, StartError> {
        let ReplayedLog { log, here, mut replay, epoch } = found;
        let Common { store, sealer, limits, metrics, counters, failure, start, disk } = common;
        let (limits, now) = (limits.of_each(here.shards), clock.now());
        let keys = Shared::new(limits.idempotency_keys as u64, metrics.keys_refused.clone());
        let longest = log.longest_record();
        let replayed = std::mem::replace(&mut replay.facts, Facts::new(here, ReplayedKeys::default()));
        let (mut facts, states, ReplayedKeys(replayed_keys)) =
            replayed.serve::<Serving>(KeyTable::new(keys, now));
        for (hash, ReplayedKey { position, expires_at, channel, alone }) in replayed_keys {
            if expires_at <= now {
                replay.dead.extend(alone.then_some(position));
                continue;
            }
            let entry = store.by_id(channel);
            let namespace = entry.as_ref().map_or("", |entry| &entry.config.namespace);
            let lies = KeyRecord { position, alone };
            facts.keys.insert(hash, expires_at, lies, (channel, namespace), now);
        }
        // Deleted channels that the address store still has take no parcels.
        for channel_id in facts.closed.keys().filter(|channel_id| store.is_known(**channel_id)) {
            counters.get_or_insert(*channel_id).in_relay.close(true);
        }
        for (channel_id, channel) in states {
            let mut state = channel.state;
            match store.by_id(channel_id) {
                Some(entry) => {
                    if entry.config.durability == Durability::Memory {
                        state = empty(&mut facts, &state, &mut replay.dead);
                    }
                    let channel = Channel::new(entry, state, &counters, &disk);
                    facts.channels.insert(channel_id, Box::new(channel));
                }
                // An empty channel without an address is not missed.
                None if state.messages_count() == 0 => {}
                None => return Err(StartError::NoOwner(channel_id)),
            }
        }
        let channels = &facts.channels;
        let is_there = |channel_id, sequence| {
            channels.get(&channel_id).is_some_and(|channel| channel.state.message(sequence).is_some())
        };
        if let Some((channel_id, bytes)) = replay.too_long(&facts.parcels, is_there) {
            let channel = store.by_id(channel_id).map(|entry| entry.config.qualified_name());
            // A parcel for a channel that was deleted meanwhile must still be copied until it is removed.
            let channel = channel.unwrap_or_else(|| format!("{channel_id}"));
            return Err(StartError::TooLong { channel, bytes, longest });
        }
        let before =
            channels.iter().map(|(channel_id, channel)| (*channel_id, channel.state.next_sequence()));
        let before = log.has_older().then(|| before.collect());
        let left = facts.parcels.iter().map(|(id, OpenParcel { message, to_come, .. })| {
            let bytes = message.stored.bytes.into();
            let to: Vec<_> = to_come.iter().map(|target| target.channel).collect();
            let counters = |channel_id| counters.get_or_insert(channel_id);
            let in_relay = InRelay::new(&store, counters, to.iter().copied(), bytes);
            LeftParcel { id: *id, bytes, to, in_relay }
        });
        let outgoing = OutgoingParcels::new(here, epoch, left.collect());
        let messages: u64 = channels.values().map(|channel| channel.state.messages_count()).sum();
        tracing::info!(
            worker = here.shard,
            channels = channels.len(),
            messages,
            keys = facts.keys.count(),
            "replayed the log"
        );
        let wakers = Wakers::default();
        let ledger = Ledger::new(log, now, failure, wakers.commit.clone(), metrics.clone());
        let mut shard = Self {
            ledger,
            here,
            store,
            clock,
            start,
            sealer,
            limits,
            facts,
            idle: IdleChannels::default(),
            ids: Ids::new(),
            counters,
            contents: HotContents::new(limits.hot_bytes as u64),
            disk,
            waiting_keys: HashSet::new(),
            moves: PendingMoves::new(),
            outgoing,
            timers: ChannelTimers::default(),
            reclaim: Reclaim::since(before),
            lack_memory: Vec::new(),
            handouts: Handouts::default(),
            metrics,
            samples: Arc::default(),
            wakers,
        };
        if shard.ledger.log.has_older() {
            let messages = shard.facts.channels.values().flat_map(|channel| channel.state.messages());
            let lie = messages.flat_map(|(_, message)| [Some(message.stored.position), message.state_at]);
            let held: Vec<_> = lie.flatten().collect();
            held.into_iter().for_each(|position| shard.ledger.log.hold(position));
        }
        replay.dead.into_iter().for_each(|position| shard.ledger.log.release(position));
        shard.resume_naming(replay.newest_part);
        let channel_ids: Vec<_> = shard.facts.channels.keys().copied().collect();
        channel_ids.into_iter().for_each(|channel_id| shard.touch(channel_id));
        // The first commit may be far off, and parcels that are stuck should show before.
        shard.publish_samples();
        Ok(shard)
    }
}
