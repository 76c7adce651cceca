//! The cores of one broker on simulated disks, driven by a test: on each start as many as it says.

use std::{collections::BTreeMap, sync::MutexGuard, task::Waker};

use super::*;
use crate::{
    channel::State,
    clock::Past,
    data_folder::logs::{LogFolder, Logs},
    log::disk::{
        Older, Sound,
        gate::Gate,
        simulated::{Chance, Loss, Simulated},
    },
};

/// The disks of a data folder's logs.
pub(super) type Disks = BTreeMap<LogFolder, Simulated>;

pub(super) struct Many {
    /// What holds up the syncs of each core's disk. Dropped first: helpers that wait there are waited for.
    syncs: Gates,
    pub(super) cores: Vec<SharedCore<DiskLog<Simulated>>>,
    /// Where its clocks read the time.
    pub(super) source: TimeSource,
    /// What runs on the threads of the cores, two on each: it goes on when the test says so.
    tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    pub(super) disks: Disks,
    /// Nothing that is read is in memory.
    cold: bool,
    /// The log of each core.
    logs: Vec<LogFolder>,
    pub(super) store: AddressStore,
    pub(super) entries: Vec<Arc<ChannelEntry>>,
    folder: DataFolder,
    _data: TempDir,
}

/// The logs of a start with so many cores. All of them are there before anything is done to one.
fn logs_of(disks: &mut Disks, cores: usize) -> Logs {
    let logs = Logs::of(disks.keys().copied().collect(), cores as u32);
    for log in &logs.current {
        disks.entry(*log).or_default();
    }
    logs
}

/// What a start finds.
fn find(
    logs: &Logs,
    disks: &Disks,
    cores: usize,
    store: &AddressStore,
) -> Result<Vec<Found<DiskLog<Simulated>>>, Box<dyn std::error::Error>> {
    let options = Options { segment_bytes: 64 << 10 };
    let older = logs.older.iter().map(|log| Sound::look(disks[log].clone()));
    let older = Arc::new(Older::open(older.collect::<Result<_, _>>()?, cores as u32)?);
    let found = logs.current.iter().enumerate().map(|(core, log)| {
        let log = DiskLog::open_after(older.clone(), disks[log].clone(), options)?;
        let mut reading = Box::pin(Found::read(log, Here { core, cores }, store));
        Ok(wait(|context| reading.as_mut().poll(context))?)
    });
    found.collect()
}

/// The disks after a power cut that takes of each what it takes, whatever it takes of the others.
fn after_power_cut(disks: &Disks, chance: &mut Chance) -> Disks {
    disks.iter().map(|(log, disk)| (*log, disk.after_loss(&Loss::by(chance)))).collect()
}

/// The disks after a start with so many cores in which the power goes: on each after so many writes and syncs.
pub(super) fn after_half_a_start(mut disks: Disks, cores: usize, chance: &mut Chance) -> Disks {
    let logs = logs_of(&mut disks, cores);
    disks.values().for_each(|disk| disk.fail_after(chance.below(24)));
    // It may have come to its end. Which channels there are it only looks at.
    let store = AddressStore::read(std::path::Path::new("none"), uuid::Uuid::nil()).unwrap();
    drop(find(&logs, &disks, cores, &store));
    after_power_cut(&disks, chance)
}

/// They open when they are dropped.
struct Gates(Vec<Gate>);

impl Drop for Gates {
    fn drop(&mut self) {
        self.0.iter().for_each(Gate::open);
    }
}

/// A core as its thread has it.
pub(super) type Own = (Reach<DiskLog<Simulated>>, Jobs<DiskLog<Simulated>>);

impl Many {
    pub(super) fn new(channels: Vec<ChannelConfig>, cores: usize) -> Self {
        Self::by(TimeSource::system(), channels, cores)
    }

    /// On a machine whose time passes when the test says so.
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

    /// The disks, once nobody can do anything to them any more.
    pub(super) fn left(&self, power_cut: Option<Chance>) -> Disks {
        match power_cut {
            None => self.disks.iter().map(|(log, disk)| (*log, disk.after_kill())).collect(),
            Some(mut chance) => after_power_cut(&self.disks, &mut chance),
        }
    }

    /// The disks after a power cut that takes all that was not synced of one core's, and nothing of the others'.
    pub(super) fn left_without(&self, core: usize) -> Disks {
        let left = self.disks.iter().map(|(log, disk)| {
            let loss = if *log == self.logs[core] { Loss::All } else { Loss::None };
            (*log, disk.after_loss(&loss))
        });
        left.collect()
    }

    /// The clock of a start.
    fn clock(source: &TimeSource, found: &[Found<DiskLog<Simulated>>]) -> Clock {
        let past = found.iter().map(Found::past).fold(Past::default(), Past::and);
        Clock::start(source.clone(), past)
    }

    /// The broker is gone and starts again, on these disks.
    pub(super) fn start(self, mut disks: Disks, cores: usize) -> Self {
        let Self { syncs, cores: gone, source, tasks, cold, store, entries, folder, _data, .. } = self;
        drop((syncs, tasks, gone));
        let logs = logs_of(&mut disks, cores);
        let mut found = find(&logs, &disks, cores, &store).unwrap();
        Found::settle_outboxes(&mut found);
        Found::find_owners(&mut found, &store).unwrap();
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
            many.tasks.push(Box::pin(outbox::carry(cores)));
        }
        many
    }

    /// The cores, each as a thread of its own has it.
    pub(super) fn owned(&self) -> Vec<Own> {
        let (handles, jobs): (Vec<_>, Vec<_>) = self.cores.iter().map(CoreHandle::new).unzip();
        let (counters, clock) = self.cores[0].with(|core| (core.counters.clone(), core.clock()));
        let all = Cores::new(handles, counters, clock);
        let own = self.cores.iter().zip(jobs).enumerate().map(|(core, (own, jobs))| {
            let here = Here { core, cores: self.cores.len() };
            (Reach::new(here, own.clone(), all.clone()), jobs)
        });
        own.collect()
    }

    /// The core of a channel.
    pub(super) fn core(&self, number: u32) -> MutexGuard<'_, Core<DiskLog<Simulated>>> {
        self.cores[self.core_of(number)].lock()
    }

    pub(super) fn core_of(&self, number: u32) -> usize {
        Here { core: 0, cores: self.cores.len() }.core_of(number)
    }

    /// From now on whatever is read comes from a disk.
    pub(super) fn forget_what_is_read(&mut self) {
        self.cold = true;
        self.disks.values().for_each(|disk| disk.before_read(|| {}));
    }

    /// From now on nothing that one core has written comes to its disk.
    pub(super) fn hold_back(&mut self, core: usize) {
        self.syncs.0[core].close();
    }

    /// All that one core has written comes to its disk, as far as somebody asked for it.
    pub(super) fn let_go(&mut self, core: usize) {
        self.syncs.0[core].open();
        self.rest(core);
    }

    /// Begins to commit what one core has, and waits until it is done or held back.
    pub(super) fn begin(&mut self, core: usize) {
        self.cores[core].lock().commit();
        self.rest(core);
    }

    /// Waits until one core's log has nothing more to do, but for what is held back.
    fn rest(&mut self, core: usize) {
        let mut context = Context::from_waker(Waker::noop());
        let (mut core, gate) = (self.cores[core].lock(), &self.syncs.0[core]);
        // The news of the one may give the other something to do.
        while core.poll_commits(&mut context).is_ready() || !core.log.is_at_rest(gate) {
            std::thread::yield_now();
        }
    }

    /// What runs beside the requests goes on, one step.
    pub(super) fn go_on(&mut self) {
        (0..self.cores.len()).for_each(|core| self.go_on_alone(core));
    }

    /// The same on one core.
    pub(super) fn go_on_alone(&mut self, core: usize) {
        // What is to be read has come.
        self.rest(core);
        let mut context = Context::from_waker(Waker::noop());
        while self.cores[core].lock().poll_moves(&mut context).is_ready() {}
        self.tasks[2 * core..][..2].iter_mut().for_each(|task| {
            assert!(task.as_mut().poll(&mut context).is_pending());
        });
    }

    pub(super) fn pull(&mut self, channel: usize, lease: Millis) -> Option<Delivery> {
        let entry = self.entries[channel].clone();
        let mut core = self.core(entry.number);
        match core.pull(&entry, &Asked { lease, attempt: None, answers: Share::unbounded() }).unwrap() {
            Delivered::Now(delivery) => Some(delivery),
            Delivered::Again(_) => None,
            Delivered::Later(id, _) => {
                core.stop_waiting(entry.number, id);
                None
            }
        }
    }

    pub(super) fn push(&mut self, channels: &[usize], push: Push) -> Result<Pushed, PushRefusal> {
        let entries: Vec<_> = channels.iter().map(|index| self.entries[*index].clone()).collect();
        let first = entries[0].number;
        for entry in entries.iter().filter(|entry| self.core_of(entry.number) != self.core_of(first)) {
            self.core(entry.number).admit_from_afar(entry, push.content.bytes() as u64, None)?;
        }
        self.core(first).push(&entries, push, None)
    }

    /// All letters that lie in a channel go to another: the promise of that.
    pub(super) fn redrive(&mut self, from: usize, to: usize) -> Ticket {
        let (lies_in, to) = (self.entries[from].clone(), self.entries[to].clone());
        let until = self.core(lies_in.number).next_sequence(&lies_in);
        let asked = Return { lies_in: lies_in.clone(), came_from: None, to: Some(to), until };
        let mut promise = Ticket::committed();
        for state in [State::Ready, State::Delayed, State::Dead] {
            let (mut at, mut brought) = (0, None);
            loop {
                let mut core = self.core(lies_in.number);
                let turn = core.return_letters(&asked, state, at, u64::MAX, brought).unwrap();
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

    /// Commits everything, and waits for it: also until each core has what others have for it.
    pub(super) fn commit(&mut self) {
        loop {
            (0..self.cores.len()).for_each(|core| self.commit_one(core));
            if self.cores.iter().all(|core| core.lock().outbox.is_empty() && !core.lock().has_to_commit()) {
                return;
            }
            self.go_on();
        }
    }

    /// Commits everything that one core has, and waits for it.
    pub(super) fn commit_one(&mut self, core: usize) {
        self.let_go(core);
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

    /// Gives back all that is worth it, on one core; not while its syncs are held back, for which that waits.
    pub(super) fn reclaim(&mut self, core: usize) {
        if self.syncs.0[core].is_closed() {
            return;
        }
        reclaim(&mut *self.cores[core].lock());
    }

    /// A content, when it has come from the log.
    pub(super) fn content(&mut self, reading: Reading) -> Recorded {
        match reading {
            Reading::Here(recorded) => recorded,
            Reading::Unreadable(_) => panic!("it can be read"),
            Reading::Coming(mut coming) => {
                let came = wait(|context| Pin::new(&mut coming).poll(context));
                Recorded::of(&came.unwrap().unwrap())
            }
        }
    }
}
