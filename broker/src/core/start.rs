//! At start: from what the logs say to cores that serve. All read at the same time, each its own; then the broker's clock
//! starts, for all of them.

use std::{collections::HashSet, sync::Arc};

use restante_wire::channel::Durability;
use uuid::Uuid;

use super::{
    Channel, Core, CounterRegistry, Here, Holder, Limits, Numbered, StartError,
    contents::HotContents,
    idempotency::{IdempotencyTable, KeyRecord},
    ids::Ids,
    in_flight::InFlight,
    mark::Marked,
    moves::Moves,
    named::Named,
    outbox::{Outbox, Outgoing},
    reclaim::Reclaim,
    recovery::{Key, Leaving, Replay},
    rest::Resting,
    timers::ChannelTimers,
    told::Known,
    under_way::UnderWay,
    whose::{self, Said},
};
use crate::{
    address_store::{AddressStore, ApplyError},
    channel::{LeaseSealer, Message},
    clock::{Clock, Past},
    first_failure::FirstFailure,
    log::{GroupNumber, Log, LogError, Sync},
    metrics::Metrics,
    shared::Shared,
};

/// What all cores of a broker have in common.
#[derive(Clone)]
pub struct Common {
    /// The channels there are.
    pub store: AddressStore,
    /// The seal of the lease tokens.
    pub sealer: LeaseSealer,
    /// The limits of the whole broker.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What each channel counts.
    pub counters: Arc<CounterRegistry>,
    /// What channels have of the disk.
    pub disk: Shared<Holder>,
    /// Why the broker's log failed, if it did.
    pub failure: FirstFailure,
    /// Drawn at each start; part of every lease, so that none is issued twice.
    start: u64,
}

/// What one channel may have of the volume, as a multiple of what is left: beside the reserve for what empties it, little is kept
/// from a channel that is alone.
const DISK_TIMES: u64 = 15;

/// What a core has found in its log.
pub struct Found<L> {
    log: L,
    here: Here,
    replay: Replay,
}

impl Common {
    /// For a broker that starts now.
    pub fn new(
        store: &AddressStore,
        sealer: LeaseSealer,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let start = getrandom::u64().map_err(StartError::Random)?;
        // How much there is, the logs tell.
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

impl<L: Log> Found<L> {
    /// Reads a log that was just opened, and all older ones, for a broker with these channels.
    pub async fn read(mut log: L, here: Here, store: &AddressStore) -> Result<Self, LogError> {
        let store = store.clone();
        let known = Known::by(move |number| Some(store.by_number(number)?.config.uid));
        let replay = Replay::read(&mut log, here, known).await?;
        Ok(Self { log, here, replay })
    }

    /// What the log tells of the time.
    pub fn past(&self) -> Past {
        self.replay.past
    }

    /// What cores have taken of the outboxes of others is known for as long as it is there: all of them are told.
    pub fn settle_outboxes(all: &mut [Self]) {
        let leaving: HashSet<Outgoing> =
            all.iter().flat_map(|found| found.replay.leaving.keys()).copied().collect();
        all.iter_mut().for_each(|found| found.replay.inbox.retain(|message| leaving.contains(message)));
    }

    /// Sees to it that everything that was found belongs to a channel, unless its channel was deleted: what has none is given an
    /// orphan, which the address store keeps. Or says that the logs are not this store's; then nothing was written.
    pub fn find_owners(all: &mut [Self], store: &AddressStore) -> Result<(), StartError> {
        let mut said = Said::default();
        for found in all.iter_mut() {
            said.add(found.replay.said());
        }
        said.to_come
            .retain(|(from, number)| !all.iter().any(|found| found.replay.inbox.knows(*from, *number)));
        if let Some((_, apart)) = said.apart.pop_first() {
            return Err(StartError::StoresApart(Box::new(apart)));
        }
        let (is_known, is_taken) = (|number| store.is_known(number), |uid| store.by_uid(uid).is_some());
        let orphans = said.orphans(is_known, is_taken, |uid| store.is_deleted(uid));
        store.begin()?;
        if !orphans.is_empty() {
            tracing::warn!(
                channels = orphans.len(),
                "the log has messages or keys of channels that the address store does not know, and that nobody has deleted. \
                 They are kept as orphans: {}. Each is a channel again when the operator brings its UID, or a manifest its name; \
                 restante-broker dump tells what is in them",
                whose::listed(&orphans)
            );
        }
        let completed = complete_deletions(&said, store)?;
        let known = said.names.iter().filter(|(_, name)| store.is_deleted(name.uid));
        let deleted: HashSet<u32> =
            known.map(|(number, _)| *number).chain(completed.iter().map(|(number, _)| *number)).collect();
        for found in all.iter_mut() {
            found.replay.drop_all_of(&deleted);
            // A log may have forgotten what another channel tells; without room the address store does not know it either.
            found.replay.closed.extend(completed.iter().copied());
        }
        Ok(store.adopt(orphans.into_iter().map(|orphan| orphan.entry).collect(), said.next_number)?)
    }
}

/// Completes deletions that only the logs know of: a crash came between the log and the address store, or somebody put older
/// addresses there. Where there is no room for that, the channels are there until the next start, and closed. Returns those that
/// were there, by number.
fn complete_deletions(said: &Said, store: &AddressStore) -> Result<Vec<(u32, Uuid)>, StartError> {
    let held = |uid| store.by_uid(uid).map(|entry| entry.number);
    let unfinished = said.unfinished(held, |uid| store.is_deleted(uid), store.deletions_left());
    let there: Vec<_> = unfinished.iter().filter_map(|(_, uid)| store.by_uid(*uid)).collect();
    let completed = there.iter().map(|entry| (entry.number, entry.config.uid)).collect();
    if unfinished.is_empty() {
        return Ok(completed);
    }
    match store.complete(&unfinished) {
        Ok(()) => {
            for entry in there {
                let (channel, uid) = (entry.config.qualified_name(), entry.config.uid);
                tracing::info!(channel, %uid, "completed the deletion of a channel, which only the log knew of");
            }
            Ok(completed)
        }
        Err(error @ (ApplyError::Full(_) | ApplyError::NotWritten { .. })) => {
            tracing::warn!(%error, "deletions of channels that only the log knows of are completed by the next start that has room");
            Ok(completed)
        }
        Err(error) => Err(error.into()),
    }
}

impl Limits {
    /// What one of so many cores may take of what is shared.
    fn of_each(self, cores: usize) -> Self {
        Self {
            idempotency_keys: self.idempotency_keys.div_ceil(cores),
            hot_bytes: self.hot_bytes / cores,
            ..self
        }
    }
}

impl<L: Log> Core<L> {
    /// Rebuilds the channels from what was found, once all of it [has an owner](Found::find_owners). Messages of channels that are
    /// kept in memory only are dropped.
    pub fn start(found: Found<L>, common: Common, clock: Clock) -> Result<Self, StartError> {
        let Found { log, here, mut replay } = found;
        let Common { store, sealer, limits, metrics, counters, failure, start, disk } = common;
        let (limits, now) = (limits.of_each(here.cores), clock.now());
        let keys = Shared::new(limits.idempotency_keys as u64, metrics.keys_refused.clone());
        let mut idempotency = IdempotencyTable::new(keys, now);
        for (hash, Key { position, expires_at, channel, alone }) in replay.keys.drain() {
            if expires_at <= now {
                replay.dead.extend(alone.then_some(position));
                continue;
            }
            let entry = store.by_number(channel);
            let namespace = entry.as_ref().map_or("", |entry| &entry.config.namespace);
            let lies = KeyRecord { position, alone };
            idempotency.insert(hash, expires_at, lies, (channel, namespace), now);
        }
        let mut channels = Numbered::<Box<Channel>>::default();
        // What the address store could not forget any more stays deleted.
        let closed: HashSet<u32> =
            replay.closed.keys().copied().filter(|number| store.is_known(*number)).collect();
        closed.iter().for_each(|number| counters.get_or_insert(*number).under_way.close(true));
        for (number, mut state) in std::mem::take(&mut replay.channels) {
            match store.by_number(number) {
                Some(entry) => {
                    if entry.config.durability == Durability::Memory {
                        replay.empty(&mut state);
                    }
                    channels.insert(number, Box::new(Channel::new(entry, state, &counters, &disk)));
                }
                // Of a channel whose addresses are lost and in which nothing is, nothing is missed.
                None if state.messages_count() == 0 => {}
                None => return Err(StartError::NoOwner(number)),
            }
        }
        let is_there = |number, sequence| {
            channels.get(&number).is_some_and(|channel| channel.state.message(sequence).is_some())
        };
        if let Some((number, bytes)) = replay.too_long(is_there) {
            let channel = store.by_number(number).map(|entry| entry.config.qualified_name());
            // What goes out to a channel that is gone meanwhile has to be copied until it has.
            let channel = channel.unwrap_or_else(|| format!("number {number}"));
            return Err(StartError::TooLong { channel, bytes, longest: log.longest_record() });
        }
        let before = channels.iter().map(|(number, channel)| (*number, channel.state.next_sequence()));
        let before = log.has_older().then(|| before.collect());
        let mut leaving: Vec<_> = replay.leaving.iter().collect();
        // Places are drawn anew at each start, and so tell the order of what one start has left, and not of what several have.
        leaving.sort_unstable_by_key(|(message, leaving)| (leaving.message.stored.enqueued_at, **message));
        let leaving =
            leaving.into_iter().map(|(message, Leaving { message: Message { stored, .. }, to_come })| {
                let to = to_come.iter().map(|target| target.channel);
                let under_way =
                    UnderWay::new(&store, |number| counters.get_or_insert(number), to, stored.bytes.into());
                (*message, stored.position, under_way)
            });
        let outbox = Outbox::new(here.outbox(), start, leaving);
        let messages: u64 = channels.values().map(|channel| channel.state.messages_count()).sum();
        tracing::info!(
            core = here.core,
            channels = channels.len(),
            messages,
            keys = idempotency.count(),
            "the log is open"
        );
        let mut core = Self {
            log,
            here,
            store,
            clock,
            start,
            sealer,
            limits,
            channels,
            resting: Resting::default(),
            closed,
            ids: Ids::new(),
            counters,
            contents: HotContents::new(limits.hot_bytes as u64),
            disk,
            shared: replay.shared,
            named: Named::default(),
            idempotency,
            waiting_keys: HashSet::new(),
            moves: Moves::new(),
            outbox,
            inbox: replay.inbox,
            timers: ChannelTimers::default(),
            owed: 0,
            reclaim: Reclaim::since(before),
            marked: Marked::at_start(now),
            lack_memory: Vec::new(),
            group: Arc::default(),
            group_sync: Sync::Later,
            sync_wanted: false,
            in_flight: InFlight::default(),
            newest_group: GroupNumber::default(),
            durable_group: GroupNumber::default(),
            failed: false,
            failure,
            unreadable: super::Unreadable::default(),
            metrics,
            samples: Arc::default(),
            wakers: super::Wakers::default(),
        };
        if core.log.has_older() {
            let messages = core.channels.values().flat_map(|channel| channel.state.messages());
            let lie = messages.flat_map(|(_, message)| [Some(message.stored.position), message.state_at]);
            let held: Vec<_> = lie.flatten().collect();
            held.into_iter().for_each(|position| core.log.hold(position));
        }
        replay.dead.into_iter().for_each(|position| core.log.release(position));
        core.go_on_naming(replay.newest_part);
        let numbers: Vec<_> = core.channels.keys().copied().collect();
        numbers.into_iter().for_each(|number| core.touch(number));
        // Nothing may be committed for long: what is stuck in the outbox is to be seen before.
        core.show_store();
        Ok(core)
    }
}
