//! A slow disk holds up nobody who does not need it. Its slowness is a gate that the test opens when everything else has
//! happened: whoever waited for the disk would have waited for ever.

use super::*;
use crate::log::disk::{
    gate::Gate,
    simulated::{Chance, Simulated},
};
use restante_wire::channel::Durability;
use tokio::task::{JoinHandle, yield_now};
use tokio_util::sync::CancellationToken;

/// A disk with gates before its syncs and its reads.
#[derive(Default, Clone)]
struct Slow {
    disk: Simulated,
    syncs: Gate,
}

impl Place for Slow {
    type Log = DiskLog<Simulated>;

    fn open(&self) -> DiskLog<Simulated> {
        let syncs = self.syncs.clone();
        self.disk.before_sync(move || syncs.pass());
        DiskLog::open_in(self.disk.clone(), Options { segment_bytes: 64 << 10 }).unwrap()
    }
}

/// A core as the broker runs it.
struct Running {
    core: SharedCore<DiskLog<Simulated>>,
    handle: CoreHandle<DiskLog<Simulated>>,
    entries: Vec<Arc<ChannelEntry>>,
    place: Slow,
    tasks: Vec<JoinHandle<()>>,
    _on: (DataFolder, TempDir),
}

impl Running {
    fn new(channels: Vec<ChannelConfig>) -> Self {
        let Bench { core, entries, place, folder, _data, .. } = Bench::<Slow>::new(channels);
        let core = SharedCore::new(core);
        let (handle, jobs) = CoreHandle::new(&core);
        let tasks = vec![
            tokio::spawn(tasks::commit_groups(core.clone(), CancellationToken::new())),
            tokio::spawn(tasks::follow_time(core.clone())),
            tokio::spawn(jobs.run(core.clone())),
        ];
        Self { core, handle, entries, place, tasks, _on: (folder, _data) }
    }

    fn push(&self, channel: usize, content: &str) -> Ticket {
        let entries = [self.entries[channel].clone()];
        self.core.with(|core| core.push(&entries, message(content), None)).unwrap().ticket
    }

    fn pull(&self, channel: usize) -> Delivered {
        let asked = Asked { lease: 60_000, attempt: None };
        self.core.with(|core| core.pull(&self.entries[channel], &asked)).unwrap()
    }

    /// Waits until a delivery may leave: what is in it.
    async fn answer(&self, delivery: Delivery) -> Bytes {
        delivery.ticket.wait().await.unwrap();
        delivery.content.body
    }

    async fn pulled(&self, channel: usize) -> Bytes {
        let Delivered::Now(delivery) = self.pull(channel) else { panic!("there is no message") };
        self.answer(delivery).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

fn in_memory(name: &str) -> ChannelConfig {
    ChannelConfig { durability: Durability::Memory, ..channel(name) }
}

#[tokio::test]
async fn while_a_sync_takes_its_time_only_those_wait_who_need_one() {
    let running = Running::new(vec![channel("one"), channel("two"), in_memory("three")]);
    running.push(0, "hot").wait().await.unwrap();
    let syncs = running.place.syncs.clone();
    syncs.close();
    let stuck = tokio::spawn(running.push(0, "stuck").wait());
    until(|| syncs.holds_up()).await;

    // A hot message of the same channel.
    assert_eq!(running.pulled(0).await, "hot");
    // A receiver that waits, in a channel whose pushes need no sync.
    let Delivered::Later(_, arrival) = running.pull(2) else { panic!("there is no message yet") };
    running.push(2, "three").wait().await.unwrap();
    let delivery = arrival.await.unwrap().unwrap();
    assert_eq!(running.answer(delivery).await, "three");
    // A receiver that waits for a message whose sender waits for the sync after this one.
    let Delivered::Later(_, arrival) = running.pull(1) else { panic!("there is no message yet") };
    let next = tokio::spawn(running.push(1, "two").wait());
    let delivery = arrival.await.unwrap().unwrap();
    let claim = delivery.granted.claim();
    assert_eq!(running.answer(delivery).await, "two");
    // What that receiver says needs a sync again, and is taken.
    let number = running.entries[1].number;
    let settled = running.core.with(|core| core.settle(number, claim)).unwrap();
    // Another thread that asks, as probes and the operator do.
    assert_eq!(running.handle.close(number, false).await.unwrap(), Ok(0));

    assert!(!stuck.is_finished() && !next.is_finished());
    syncs.open();
    stuck.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    settled.wait().await.unwrap();
}

#[tokio::test]
async fn what_is_written_during_a_sync_is_told_as_stored_only_after_the_next() {
    let running = Running::new(vec![channel("one")]);
    let syncs = running.place.syncs.clone();
    for round in 0..10 {
        syncs.close();
        let first = tokio::spawn(running.push(0, "first").wait());
        until(|| syncs.holds_up()).await;
        let second = running.push(0, "second");
        // Written, as its receiver shows.
        assert_eq!(running.pulled(0).await, "first");
        assert_eq!(running.pulled(0).await, "second");
        // From here on the power may go: what was told as stored must be there.
        syncs.open();
        first.await.unwrap().unwrap();
        let second = tokio::spawn(second.wait());
        second.await.unwrap().unwrap();
        let cut = running.place.disk.after_power_cut(&mut Chance::new(round));
        let mut log = DiskLog::open_in(cut, Options { segment_bytes: 64 << 10 }).unwrap();
        let mut messages = 0;
        let replayed = crate::log::conformance::Patient::replayed(&mut log, |_, record| {
            messages += u64::from(matches!(record, crate::log::Record::Message { .. }));
        });
        replayed.unwrap();
        assert_eq!(messages, 2 * (round + 1));
    }
}

#[tokio::test]
async fn a_failed_sync_fails_those_who_wait_for_it_and_those_after_it() {
    let running = Running::new(vec![channel("one")]);
    let syncs = running.place.syncs.clone();
    syncs.close();
    let first = tokio::spawn(running.push(0, "first").wait());
    until(|| syncs.holds_up()).await;
    let second = tokio::spawn(running.push(0, "second").wait());
    running.place.disk.fail_syncs(true);
    syncs.open();
    assert_eq!(first.await.unwrap(), Err(StoreFailed));
    assert_eq!(second.await.unwrap(), Err(StoreFailed));
    assert!(running.core.with(|core| core.has_failed()));
}
