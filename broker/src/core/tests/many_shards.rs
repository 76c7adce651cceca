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
    pub(super) cores: Vec<SharedCore<DiskLog<Simulated>>>,
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
fn logs_of(disks: &mut Disks, cores: usize) -> Logs {
    let logs = Logs::of(disks.keys().copied().collect(), cores as u32);
    for log in &logs.current {
        disks.entry(*log).or_default();
    }
    logs
}

/// Opens and replays the logs of a start.
fn find(
    logs: &Logs,
    disks: &Disks,
    cores: usize,
    store: &AddressStore,
) -> Result<Vec<ReplayedLog<DiskLog<Simulated>>>, Box<dyn std::error::Error>> {
    let options = Options { segment_bytes: 64 << 10 };
    let older = logs.older.iter().map(|log| SoundLog::inspect(disks[log].clone()));
    let older = Arc::new(OlderLogs::open(older.collect::<Result<_, _>>()?, cores as u32)?);
    let found = logs.current.iter().enumerate().map(|(core, log)| {
        let log = DiskLog::open_after(older.clone(), disks[log].clone(), options)?;
        let mut reading = Box::pin(ReplayedLog::read(log, Placement { core, cores }, store));
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
pub(super) fn after_half_a_start(mut disks: Disks, cores: usize, chance: &mut Chance) -> Disks {
    let logs = logs_of(&mut disks, cores);
    disks.values().for_each(|disk| disk.fail_after(chance.below(24)));
    // It may have completed. It only reads which channels exist.
    let store = AddressStore::read(std::path::Path::new("none"), uuid::Uuid::nil()).unwrap();
    drop(find(&logs, &disks, cores, &store));
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
    pub(super) fn new(channels: Vec<ChannelConfig>, cores: usize) -> Self {
        Self::by(TimeSource::system(), channels, cores)
    }

    /// On a simulated machine.
    pub(super) fn by(source: TimeSource, channels: Vec<ChannelConfig>, cores: usize) -> Self {
        let data = TempDir::new().unwrap();
        let folder = DataFolder::open(&data.path().join("data"), Default::default()).unwrap();
        let store = AddressStore::open(&folder.addresses(), folder.store_id()).unwrap();
        let entries = store.sync(channels).unwrap().changed;
        let disks = Disks::from([(LogFolder::FIRST, Simulated::default())]);
        let (syncs, none, tasks, logs) = (Gates(Vec::new()), Vec::new(), Vec::new(), Vec::new());
        let (cold, of) = (false, disks.clone());
        Self { syncs, cores: none, source, tasks, disks, cold, logs, store, entries, folder, _data: data }
            .start(of, cores)
    }

    /// The disks, after the broker can no longer write to them.
    pub(super) fn disks_after_end(&self, power_cut: Option<Chance>) -> Disks {
        match power_cut {
            None => self.disks.iter().map(|(log, disk)| (*log, disk.after_kill())).collect(),
            Some(mut chance) => after_power_cut(&self.disks, &mut chance),
        }
    }

    /// The disks after a power cut that takes everything unsynced of one shard's disk, and nothing of the others'.
    pub(super) fn disks_after_losing(&self, core: usize) -> Disks {
        let left = self.disks.iter().map(|(log, disk)| {
            let loss = if *log == self.logs[core] { Loss::All } else { Loss::None };
            (*log, disk.after_loss(&loss))
        });
        left.collect()
    }

    /// The logs as a start would replay them now.
    pub(super) fn replayed(&self) -> Vec<ReplayedLog<DiskLog<Simulated>>> {
        let mut disks = self.disks_after_end(None);
        let logs = logs_of(&mut disks, self.cores.len());
        find(&logs, &disks, self.cores.len(), &self.store).unwrap()
    }

    fn clock(source: &TimeSource, found: &[ReplayedLog<DiskLog<Simulated>>]) -> Clock {
        let past = found.iter().map(ReplayedLog::past).fold(Past::default(), Past::and);
        Clock::start(source.clone(), past)
    }

    /// Starts a broker again on these disks.
    pub(super) fn start(self, mut disks: Disks, cores: usize) -> Self {
        let Self { syncs, cores: gone, source, tasks, cold, store, entries, folder, _data, .. } = self;
        drop((syncs, tasks, gone));
        let logs = logs_of(&mut disks, cores);
        let mut found = find(&logs, &disks, cores, &store).unwrap();
        ReplayedLog::begin_epoch(&mut found);
        ReplayedLog::find_owners(&mut found, &store).unwrap();
        let clock = Self::clock(&source, &found);
        let sealer = LeaseSealer::new(folder.lease_key().unwrap());
        let common = Common::new(&store, sealer, LIMITS, Arc::new(Metrics::new().unwrap())).unwrap();
        let started =
            found.into_iter().map(|found| Core::start(found, common.clone(), clock.clone()).unwrap());
        let cores: Vec<_> = started.map(SharedCore::new).collect();
        let gates = logs.current.iter().map(|log| {
            let gate = Gate::default();
            gate.hold_back_helpers(&disks[log]);
            gate
        });
        let syncs = Gates(gates.collect());
        let (tasks, logs) = (Vec::new(), logs.current);
        let mut many = Self { syncs, cores, source, tasks, disks, cold, logs, store, entries, folder, _data };
        if cold {
            many.forget_what_is_read();
        }
        for (cores, mut jobs) in many.owned() {
            let own = cores.clone();
            many.tasks.push(Box::pin(async move { jobs.run(&own).await }));
            many.tasks.push(Box::pin(send_parcels(cores)));
        }
        many
    }

    /// The shards, each with the handles of its thread.
    pub(super) fn owned(&self) -> Vec<Own> {
        let (handles, jobs): (Vec<_>, Vec<_>) = self.cores.iter().map(Mailbox::new).unzip();
        let (counters, clock) = self.cores[0].with(|core| (core.counters.clone(), core.clock()));
        let all = Cores::new(handles, counters, clock);
        let own = self.cores.iter().zip(jobs).enumerate().map(|(core, (own, jobs))| {
            let here = Placement { core, cores: self.cores.len() };
            (Router::new(here, own.clone(), all.clone()), jobs)
        });
        own.collect()
    }

    pub(super) fn core(&self, number: ChannelId) -> MutexGuard<'_, Core<DiskLog<Simulated>>> {
        self.cores[self.core_of(number)].lock()
    }

    pub(super) fn core_of(&self, number: ChannelId) -> usize {
        Placement { core: 0, cores: self.cores.len() }.core_of(number)
    }

    /// From now on, every read comes from a disk.
    pub(super) fn forget_what_is_read(&mut self) {
        self.cold = true;
        self.disks.values().for_each(|disk| disk.before_read(|| {}));
    }

    /// From now on, no write of one shard reaches its disk.
    pub(super) fn hold_back(&mut self, core: usize) {
        self.syncs.0[core].close();
    }

    /// Lets all writes of one shard reach its disk, as far as a sync was requested.
    pub(super) fn release(&mut self, core: usize) {
        self.syncs.0[core].open();
        self.rest(core);
    }

    /// Begins to commit one shard's batch, and waits until that is done or held back.
    pub(super) fn begin(&mut self, core: usize) {
        self.cores[core].lock().commit();
        self.rest(core);
    }

    /// Waits until one shard's log has nothing more to do, except what is held back.
    fn rest(&mut self, core: usize) {
        let mut context = Context::from_waker(Waker::noop());
        let (mut core, gate) = (self.cores[core].lock(), &self.syncs.0[core]);
        // News of one may give the other something to do.
        while core.poll_commits(&mut context).is_ready() || !core.log.is_at_rest(gate) {
            std::thread::yield_now();
        }
    }

    /// Runs the tasks of all shards by one step.
    pub(super) fn run_turn(&mut self) {
        (0..self.cores.len()).for_each(|core| self.go_on_alone(core));
    }

    /// Runs the tasks of one shard by one step.
    pub(super) fn go_on_alone(&mut self, core: usize) {
        // Pending reads have finished.
        self.rest(core);
        let mut context = Context::from_waker(Waker::noop());
        while self.cores[core].lock().poll_moves(&mut context).is_ready() {}
        self.tasks[2 * core..][..2].iter_mut().for_each(|task| {
            assert!(task.as_mut().poll(&mut context).is_pending());
        });
    }

    pub(super) fn pull(&mut self, channel: usize, lease: Millis) -> Option<Delivery> {
        let entry = self.entries[channel].clone();
        let mut core = self.core(entry.id);
        match core.pull(&entry, &Pull { lease, attempt: None, answers: Share::unbounded() }).unwrap() {
            PullOutcome::Delivered(mut delivery) => {
                delivery.handout.keep();
                Some(delivery)
            }
            PullOutcome::Repeated(_) => None,
            PullOutcome::Waiting(id, _) => {
                core.stop_waiting(entry.id, id);
                None
            }
        }
    }

    pub(super) fn push(&mut self, channels: &[usize], push: Push) -> Result<Pushed, PushRefusal> {
        let entries: Vec<_> = channels.iter().map(|index| self.entries[*index].clone()).collect();
        let first = entries[0].id;
        for entry in entries.iter().filter(|entry| self.core_of(entry.id) != self.core_of(first)) {
            self.core(entry.id).admit_remote(entry, push.content.bytes() as u64, None)?;
        }
        self.core(first).push(&entries, push, None)
    }

    /// Redrives all dead letters in a channel to another one. Returns the ticket.
    pub(super) fn redrive(&mut self, from: usize, to: usize) -> Ticket {
        let (stored_in, to) = (self.entries[from].clone(), self.entries[to].clone());
        let until = self.core(stored_in.id).next_sequence(&stored_in);
        let request = ReturnRequest { stored_in: stored_in.clone(), came_from: None, to: Some(to), until };
        let mut promise = Ticket::committed();
        for state in [State::Ready, State::Delayed, State::Dead] {
            let (mut at, mut brought) = (0, None);
            loop {
                let mut core = self.core(stored_in.id);
                let turn = core.return_dead_letters(&request, state, at, u64::MAX, brought).unwrap();
                drop(core);
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
            (0..self.cores.len()).for_each(|core| self.commit_one(core));
            if self.cores.iter().all(|core| core.lock().outbox.is_empty() && !core.lock().has_to_commit()) {
                return;
            }
            self.run_turn();
        }
    }

    /// Commits everything of one shard, and waits for it.
    pub(super) fn commit_one(&mut self, core: usize) {
        self.release(core);
        let mut core = self.cores[core].lock();
        core.commit();
        wait(|context| {
            while core.poll_news(context).is_ready() {
                core.commit();
            }
            let is_committed = !core.has_to_commit() && core.in_flight.is_empty() && core.moves.is_empty();
            if is_committed { Poll::Ready(()) } else { Poll::Pending }
        });
    }

    /// Reclaims the space of one shard. Does nothing while its syncs are held back, because reclaiming waits for them.
    pub(super) fn reclaim(&mut self, core: usize) {
        if self.syncs.0[core].is_closed() {
            return;
        }
        reclaim(&mut *self.cores[core].lock());
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
