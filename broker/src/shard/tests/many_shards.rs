//! The shards of one broker on simulated disks, driven by a test; each start has a number of its own.

use std::{collections::BTreeMap, sync::MutexGuard, task::Waker};

use super::*;
use crate::{
    channel::State,
    clock::Past,
    data_folder::logs::{LogFolder, Logs},
    log::disk::{
        OlderLogs, SoundLog,
        gate::Gate,
        simulated::{Chance, Loss, Simulated},
    },
};

/// The disks of a data folder's logs.
pub(super) type Disks = BTreeMap<LogFolder, Simulated>;

pub(super) struct Many {
    /// Gates before the syncs of each shard's disk. Dropped first: drops wait for helper threads that wait there.
    syncs: Gates,
    pub(super) shards: Vec<SharedShard<DiskLog<Simulated>>>,
    /// The source of time of all clocks.
    pub(super) source: TimeSource,
    /// The tasks of all worker threads, two each; a test polls them.
    tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    pub(super) disks: Disks,
    /// Every read comes from a disk.
    cold: bool,
    /// The log of each shard.
    logs: Vec<LogFolder>,
    pub(super) store: AddressStore,
    pub(super) entries: Vec<Arc<ChannelEntry>>,
    folder: DataFolder,
    _data: TempDir,
}

/// The logs of a start with this number of shards. All exist before any of them is opened.
fn logs_of(disks: &mut Disks, shards: usize) -> Logs {
    let logs = Logs::of(disks.keys().copied().collect(), shards as u32);
    for log in &logs.current {
        disks.entry(*log).or_default();
    }
    logs
}

/// Opens and replays the logs of a start.
fn find(
    logs: &Logs,
    disks: &Disks,
    shards: usize,
    store: &AddressStore,
) -> Result<Vec<ReplayedLog<DiskLog<Simulated>>>, Box<dyn std::error::Error>> {
    let options = Options { segment_bytes: 64 << 10 };
    let older = logs.older.iter().map(|log| SoundLog::inspect(disks[log].clone()));
    let older = Arc::new(OlderLogs::open(older.collect::<Result<_, _>>()?, shards as u32)?);
    let found = logs.current.iter().enumerate().map(|(shard, log)| {
        let log = DiskLog::open_after(older.clone(), disks[log].clone(), options)?;
        let mut reading = Box::pin(ReplayedLog::read(log, Placement { shard, shards }, store));
        Ok(wait(|context| reading.as_mut().poll(context))?)
    });
    found.collect()
}

/// The disks after a power cut with a random loss on each.
fn after_power_cut(disks: &Disks, chance: &mut Chance) -> Disks {
    disks.iter().map(|(log, disk)| (*log, disk.after_loss(&Loss::by(chance)))).collect()
}

/// The disks after a start with this number of shards during which the power is cut, after a random number of writes
/// and syncs on each disk.
pub(super) fn after_half_a_start(mut disks: Disks, shards: usize, chance: &mut Chance) -> Disks {
    let logs = logs_of(&mut disks, shards);
    disks.values().for_each(|disk| disk.fail_after(chance.below(24)));
    // It may have completed. It only reads which channels exist.
    let store = AddressStore::read(std::path::Path::new("none"), uuid::Uuid::nil()).unwrap();
    drop(find(&logs, &disks, shards, &store));
    after_power_cut(&disks, chance)
}

/// They open on drop.
struct Gates(Vec<Gate>);

impl Drop for Gates {
    fn drop(&mut self) {
        self.0.iter().for_each(Gate::open);
    }
}

/// A shard with the handles of its thread.
pub(super) type Own = (Router<DiskLog<Simulated>>, MailboxDriver<DiskLog<Simulated>>);

impl Many {
    pub(super) fn new(channels: Vec<ChannelConfig>, shards: usize) -> Self {
        Self::by(TimeSource::system(), channels, shards)
    }

    /// On a simulated machine.
    pub(super) fn by(source: TimeSource, channels: Vec<ChannelConfig>, shards: usize) -> Self {
        let data = TempDir::new().unwrap();
        let folder = DataFolder::open(&data.path().join("data"), Default::default()).unwrap();
        let store = AddressStore::open(&folder.addresses(), folder.store_id()).unwrap();
        let entries = store.sync(channels).unwrap().changed;
        let disks = Disks::from([(LogFolder::FIRST, Simulated::default())]);
        let (syncs, none, tasks, logs) = (Gates(Vec::new()), Vec::new(), Vec::new(), Vec::new());
        let (cold, of) = (false, disks.clone());
        Self { syncs, shards: none, source, tasks, disks, cold, logs, store, entries, folder, _data: data }
            .start(of, shards)
    }

    /// The disks, after the broker can no longer write to them.
    pub(super) fn disks_after_end(&self, power_cut: Option<Chance>) -> Disks {
        match power_cut {
            None => self.disks.iter().map(|(log, disk)| (*log, disk.after_kill())).collect(),
            Some(mut chance) => after_power_cut(&self.disks, &mut chance),
        }
    }

    /// The disks after a power cut that takes everything unsynced of one shard's disk, and nothing of the others'.
    pub(super) fn disks_after_losing(&self, shard: usize) -> Disks {
        let left = self.disks.iter().map(|(log, disk)| {
            let loss = if *log == self.logs[shard] { Loss::All } else { Loss::None };
            (*log, disk.after_loss(&loss))
        });
        left.collect()
    }

    /// The logs as a start would replay them now.
    pub(super) fn replayed(&self) -> Vec<ReplayedLog<DiskLog<Simulated>>> {
        let mut disks = self.disks_after_end(None);
        let logs = logs_of(&mut disks, self.shards.len());
        find(&logs, &disks, self.shards.len(), &self.store).unwrap()
    }

    fn clock(source: &TimeSource, found: &[ReplayedLog<DiskLog<Simulated>>]) -> Clock {
        let past = found.iter().map(ReplayedLog::past).fold(Past::default(), Past::and);
        Clock::start(source.clone(), past)
    }

    /// Starts a broker again on these disks.
    pub(super) fn start(self, mut disks: Disks, shards: usize) -> Self {
        let Self { syncs, shards: gone, source, tasks, cold, store, entries, folder, _data, .. } = self;
        drop((syncs, tasks, gone));
        let logs = logs_of(&mut disks, shards);
        let mut found = find(&logs, &disks, shards, &store).unwrap();
        ReplayedLog::begin_epoch(&mut found);
        ReplayedLog::find_owners(&mut found, &store).unwrap();
        let clock = Self::clock(&source, &found);
        let sealer = LeaseSealer::new(folder.lease_key().unwrap());
        let common = Common::new(&store, sealer, LIMITS, Arc::new(Metrics::new().unwrap())).unwrap();
        let started =
            found.into_iter().map(|found| Shard::start(found, common.clone(), clock.clone()).unwrap());
        let shards: Vec<_> = started.map(SharedShard::new).collect();
        let gates = logs.current.iter().map(|log| {
            let gate = Gate::default();
            gate.hold_back_helpers(&disks[log]);
            gate
        });
        let syncs = Gates(gates.collect());
        let (tasks, logs) = (Vec::new(), logs.current);
        let mut many =
            Self { syncs, shards, source, tasks, disks, cold, logs, store, entries, folder, _data };
        if cold {
            many.forget_what_is_read();
        }
        for (shards, mut jobs) in many.owned() {
            let own = shards.clone();
            many.tasks.push(Box::pin(async move { jobs.run(&own).await }));
            many.tasks.push(Box::pin(send_parcels(shards)));
        }
        many
    }

    /// The shards, each with the handles of its thread.
    pub(super) fn owned(&self) -> Vec<Own> {
        let (handles, jobs): (Vec<_>, Vec<_>) = self.shards.iter().map(Mailbox::new).unzip();
        let (counters, clock) = self.shards[0].with(|shard| (shard.counters.clone(), shard.clock()));
        let all = Shards::new(handles, counters, clock);
        let own = self.shards.iter().zip(jobs).enumerate().map(|(shard, (own, jobs))| {
            let here = Placement { shard, shards: self.shards.len() };
            (Router::new(here, own.clone(), all.clone()), jobs)
        });
        own.collect()
    }

    pub(super) fn shard(&self, number: ChannelId) -> MutexGuard<'_, Shard<DiskLog<Simulated>>> {
        self.shards[self.shard_of(number)].lock()
    }

    pub(super) fn shard_of(&self, number: ChannelId) -> usize {
        Placement { shard: 0, shards: self.shards.len() }.shard_of(number)
    }

    /// From now on, every read comes from a disk.
    pub(super) fn forget_what_is_read(&mut self) {
        self.cold = true;
        self.disks.values().for_each(|disk| disk.before_read(|| {}));
    }

    /// From now on, no write of one shard reaches its disk.
    pub(super) fn hold_back(&mut self, shard: usize) {
        self.syncs.0[shard].close();
    }

    /// Lets all writes of one shard reach its disk, as far as a sync was requested.
    pub(super) fn release(&mut self, shard: usize) {
        self.syncs.0[shard].open();
        self.rest(shard);
    }

    /// Begins to commit one shard's batch, and waits until that is done or held back.
    pub(super) fn begin(&mut self, shard: usize) {
        self.shards[shard].lock().commit();
        self.rest(shard);
    }

    /// Waits until one shard's log has nothing more to do, except what is held back.
    fn rest(&mut self, shard: usize) {
        let mut context = Context::from_waker(Waker::noop());
        let (mut shard, gate) = (self.shards[shard].lock(), &self.syncs.0[shard]);
        // News of one may give the other something to do.
        while shard.poll_commits(&mut context).is_ready() || !shard.ledger.log.is_at_rest(gate) {
            std::thread::yield_now();
        }
    }

    /// Runs the tasks of all shards by one step.
    pub(super) fn run_turn(&mut self) {
        (0..self.shards.len()).for_each(|shard| self.go_on_alone(shard));
    }

    /// Runs the tasks of one shard by one step.
    pub(super) fn go_on_alone(&mut self, shard: usize) {
        // Pending reads have finished.
        self.rest(shard);
        let mut context = Context::from_waker(Waker::noop());
        while self.shards[shard].lock().poll_moves(&mut context).is_ready() {}
        self.tasks[2 * shard..][..2].iter_mut().for_each(|task| {
            assert!(task.as_mut().poll(&mut context).is_pending());
        });
    }

    pub(super) fn pull(&mut self, channel: usize, lease: Millis) -> Option<Delivery> {
        let entry = self.entries[channel].clone();
        let mut shard = self.shard(entry.id);
        match shard.pull(&entry, &Pull { lease, attempt: None, answers: Share::unbounded() }).unwrap() {
            PullOutcome::Delivered(mut delivery) => {
                delivery.handout.keep();
                Some(delivery)
            }
            PullOutcome::Repeated(_) => None,
            PullOutcome::Waiting(id, _) => {
                shard.stop_waiting(entry.id, id);
                None
            }
        }
    }

    pub(super) fn push(&mut self, channels: &[usize], push: Push) -> Result<Pushed, PushRefusal> {
        let entries: Vec<_> = channels.iter().map(|index| self.entries[*index].clone()).collect();
        let first = entries[0].id;
        for entry in entries.iter().filter(|entry| self.shard_of(entry.id) != self.shard_of(first)) {
            self.shard(entry.id).admit_remote(entry, push.content.bytes() as u64, None)?;
        }
        self.shard(first).push(&entries, push, None)
    }

    /// Redrives all dead letters in a channel to another one. Returns the ticket.
    pub(super) fn redrive(&mut self, from: usize, to: usize) -> Ticket {
        let (stored_in, to) = (self.entries[from].clone(), self.entries[to].clone());
        let until = self.shard(stored_in.id).next_sequence(&stored_in);
        let request = ReturnRequest { stored_in: stored_in.clone(), came_from: None, to: Some(to), until };
        let mut promise = Ticket::committed();
        for state in [State::Ready, State::Delayed, State::Dead] {
            let (mut at, mut brought) = (0, None);
            loop {
                let mut shard = self.shard(stored_in.id);
                let turn = shard.return_dead_letters(&request, state, at, u64::MAX, brought).unwrap();
                drop(shard);
                promise = turn.ticket;
                brought = turn.coming.map(|coming| self.content(Reading::Coming(coming)));
                match turn.next {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
        promise
    }

    /// Commits everything and waits for it, until every parcel is delivered as well.
    pub(super) fn commit(&mut self) {
        loop {
            (0..self.shards.len()).for_each(|shard| self.commit_one(shard));
            if self
                .shards
                .iter()
                .all(|shard| shard.lock().outgoing.is_empty() && !shard.lock().ledger.has_to_commit())
            {
                return;
            }
            self.run_turn();
        }
    }

    /// Commits everything of one shard, and waits for it.
    pub(super) fn commit_one(&mut self, shard: usize) {
        self.release(shard);
        let mut shard = self.shards[shard].lock();
        shard.commit();
        wait(|context| {
            while shard.poll_news(context).is_ready() {
                shard.commit();
            }
            let is_committed =
                !shard.ledger.has_to_commit() && shard.ledger.is_idle() && shard.moves.is_empty();
            if is_committed { Poll::Ready(()) } else { Poll::Pending }
        });
    }

    /// Reclaims the space of one shard. Does nothing while its syncs are held back, because reclaiming waits for them.
    pub(super) fn reclaim(&mut self, shard: usize) {
        if self.syncs.0[shard].is_closed() {
            return;
        }
        reclaim(&mut *self.shards[shard].lock());
    }

    /// The body of a message, read from the log if necessary.
    pub(super) fn content(&mut self, reading: Reading) -> StoredMessage {
        match reading {
            Reading::Here(recorded) => recorded,
            Reading::Unreadable(_) => panic!("the message is readable"),
            Reading::Coming(mut coming) => {
                let came = wait(|context| Pin::new(&mut coming).poll(context));
                StoredMessage::of(&came.unwrap().unwrap())
            }
        }
    }
}
