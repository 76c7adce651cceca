//! A slow disk delays only operations that need it. A gate makes it slow, and the test opens the gate after everything
//! else has happened: an operation that waited for the disk would wait for ever.

use std::ops::Deref;

use super::*;
use crate::log::disk::{
    gate::Gate,
    simulated::{Chance, Simulated},
};
use restante_wire::channel::Durability;
use tokio::task::{JoinHandle, yield_now};
use tokio_util::sync::CancellationToken;

/// A disk with gates before its syncs, its reads, and the writes of its spare segments.
#[derive(Default, Clone)]
struct Slow {
    disk: Simulated,
    syncs: Gate,
    reads: Gate,
    spares: Gate,
}

impl Place for Slow {
    type Log = DiskLog<Simulated>;

    fn open(&self) -> DiskLog<Simulated> {
        let syncs = self.syncs.clone();
        self.disk.before_sync(move || syncs.pass());
        let log = DiskLog::open_in(self.disk.clone(), Options { segment_bytes: 64 << 10 }).unwrap();
        let reads = self.reads.clone();
        self.disk.before_read(move || reads.pass());
        let spares = self.spares.clone();
        self.disk.before_spares(move || spares.pass());
        log
    }
}

/// A shard with the tasks of a broker.
struct Running {
    on: ThreadedShard<Slow>,
    tasks: Vec<JoinHandle<()>>,
}

impl Deref for Running {
    type Target = ThreadedShard<Slow>;

    fn deref(&self) -> &ThreadedShard<Slow> {
        &self.on
    }
}

impl Running {
    fn new(channels: Vec<ChannelConfig>) -> Self {
        let mut on = Bench::<Slow>::new(channels).threaded();
        let (mut jobs, reach) = (on.jobs.take().unwrap(), on.reach.clone());
        let tasks = vec![
            tokio::spawn(tasks::commit_groups(on.shard.clone(), CancellationToken::new())),
            tokio::spawn(tasks::follow_time(on.shard.clone())),
            tokio::spawn(async move { jobs.run(&reach).await }),
        ];
        Self { on, tasks }
    }

    fn push(&self, channel: usize, content: &str) -> Ticket {
        let entries = [self.entries[channel].clone()];
        self.shard.with(|shard| shard.push(&entries, message(content), None)).unwrap().ticket
    }

    fn pull(&self, channel: usize) -> PullOutcome {
        let pull = Pull { lease: 60_000, attempt: None, answers: Share::unbounded() };
        self.shard.with(|shard| shard.pull(&self.entries[channel], &pull)).unwrap()
    }

    /// Waits until a delivery may be sent. Returns its body.
    async fn answer(&self, mut delivery: Delivery) -> Bytes {
        delivery.ticket.wait().await.unwrap();
        let handed = delivery.granted.claim();
        let sequence = handed.sequence;
        let content =
            self.reach.content(delivery.channel, sequence, Some(handed), &mut delivery.content).await;
        content.unwrap().readable().unwrap().content.body
    }

    async fn pulled(&self, channel: usize) -> Bytes {
        let PullOutcome::Delivered(delivery) = self.pull(channel) else { panic!("there is no message") };
        self.answer(delivery).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Longer than the bodies kept in memory: see [`LIMITS`].
const COLD_BYTES: usize = 11_000;

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

fn in_memory(name: &str) -> ChannelConfig {
    ChannelConfig { durability: Durability::Memory, ..channel(name) }
}

#[tokio::test]
async fn during_a_slow_sync_only_operations_that_need_it_wait() {
    let running = Running::new(vec![channel("one"), channel("two"), in_memory("three")]);
    running.push(0, "hot").wait().await.unwrap();
    let syncs = running.place.syncs.clone();
    syncs.close();
    let stuck = tokio::spawn(running.push(0, "stuck").wait());
    until(|| syncs.holds_up()).await;

    // A hot message of the same channel.
    assert_eq!(running.pulled(0).await, "hot");
    // A waiting receiver in a channel whose pushes need no sync.
    let PullOutcome::Waiting(_, arrival) = running.pull(2) else { panic!("there is no message yet") };
    running.push(2, "three").wait().await.unwrap();
    let delivery = arrival.await.unwrap().unwrap();
    assert_eq!(running.answer(*delivery).await, "three");
    // A waiting receiver of a message whose sender waits for the next sync.
    let PullOutcome::Waiting(_, arrival) = running.pull(1) else { panic!("there is no message yet") };
    let next = tokio::spawn(running.push(1, "two").wait());
    let delivery = arrival.await.unwrap().unwrap();
    let claim = delivery.granted.claim();
    assert_eq!(running.answer(*delivery).await, "two");
    // The settle needs a sync as well, and is accepted.
    let number = running.entries[1].id;
    let settled = running.shard.with(|shard| shard.settle(number, claim)).unwrap();
    // A call from another thread, as from probes and the operator.
    assert_eq!(running.shards.close(running.entries[0].clone(), false).await.unwrap(), Err(2));

    assert!(!stuck.is_finished() && !next.is_finished());
    syncs.open();
    stuck.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    settled.wait().await.unwrap();
}

#[tokio::test]
async fn records_written_during_a_sync_are_answered_only_after_the_next_sync() {
    let running = Running::new(vec![channel("one")]);
    let syncs = running.place.syncs.clone();
    for round in 0..10 {
        syncs.close();
        let first = tokio::spawn(running.push(0, "first").wait());
        until(|| syncs.holds_up()).await;
        let second = running.push(0, "second");
        // It is written, because its receiver gets it.
        assert_eq!(running.pulled(0).await, "first");
        assert_eq!(running.pulled(0).await, "second");
        // From here on the power may be cut: messages answered as stored must exist.
        syncs.open();
        first.await.unwrap().unwrap();
        let second = tokio::spawn(second.wait());
        second.await.unwrap().unwrap();
        let cut = running.place.disk.after_power_cut(&mut Chance::new(round));
        let mut log = DiskLog::open_in(cut, Options { segment_bytes: 64 << 10 }).unwrap();
        let mut messages = 0;
        let replayed = crate::log::conformance::BlockingLog::replayed(&mut log, |_, head| {
            messages += u64::from(matches!(head.record, crate::log::Record::Message { .. }));
        });
        replayed.unwrap();
        assert_eq!(messages, 2 * (round + 1));
    }
}

#[tokio::test]
async fn a_message_may_be_delivered_before_it_is_on_disk_and_its_settle_is_answered_only_after() {
    let running = Running::new(vec![channel("one")]);
    let syncs = running.place.syncs.clone();
    syncs.close();
    let pushed = tokio::spawn(running.push(0, "early").wait());
    until(|| syncs.holds_up()).await;
    let PullOutcome::Delivered(delivery) = running.pull(0) else { panic!("there is no message") };
    let (number, claim) = (delivery.channel, delivery.granted.claim());
    assert_eq!(running.answer(delivery).await, "early");
    // A power cut now may take the message: its sender has no answer yet, and sends it again, with another id.
    let is_there = |chance| {
        let cut = running.place.disk.after_power_cut(&mut Chance::new(chance));
        let mut log = DiskLog::open_in(cut, Options { segment_bytes: 64 << 10 }).unwrap();
        let mut is_there = false;
        let replayed = crate::log::conformance::BlockingLog::replayed(&mut log, |_, head| {
            is_there |= matches!(head.record, crate::log::Record::Message { .. });
        });
        replayed.unwrap();
        is_there
    };
    assert!((0..50).any(|chance| !is_there(chance)), "no power cut takes it");
    let settled = running.shard.with(|shard| shard.settle(number, claim)).unwrap();
    let settled = tokio::spawn(settled.wait());
    yield_now().await;
    assert!(!pushed.is_finished() && !settled.is_finished());
    syncs.open();
    settled.await.unwrap().unwrap();
    assert!((0..50).all(is_there), "a settle was answered before the message was on disk");
    pushed.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_failed_sync_fails_all_answers_that_wait_for_it_and_later_ones() {
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
    assert!(running.shard.with(|shard| shard.has_failed()));
}

/// A channel with a cold message, followed by a hot one.
async fn cold_and_hot(others: Vec<ChannelConfig>) -> Running {
    let running = Running::new([vec![channel("one")], others].concat());
    running.push(0, &"c".repeat(COLD_BYTES)).wait().await.unwrap();
    running.push(0, "hot").wait().await.unwrap();
    running
}

#[tokio::test]
async fn while_a_cold_message_is_read_only_its_receiver_waits() {
    let running = cold_and_hot(vec![channel("two")]).await;
    let reads = running.place.reads.clone();
    reads.close();
    let PullOutcome::Delivered(cold) = running.pull(0) else { panic!("there is a message") };
    until(|| reads.holds_up()).await;
    assert_eq!(running.pulled(0).await, "hot");
    running.push(1, "two").wait().await.unwrap();
    assert_eq!(running.pulled(1).await, "two");
    assert_eq!(running.shards.close(running.entries[1].clone(), false).await.unwrap(), Err(1));
    reads.open();
    assert_eq!(running.answer(cold).await.len(), COLD_BYTES);
}

#[tokio::test]
async fn while_a_key_record_is_read_other_pushes_continue() {
    let running = cold_and_hot(vec![]).await;
    let keyed =
        || Push { key: Some(keys::PushKey { hash: 1, fingerprint: 1 }), ..message(&"k".repeat(COLD_BYTES)) };
    let push = async |push: Push| {
        let pushed = running.reach.push(&running.entries, push, None).await.unwrap();
        pushed.ticket.wait().await.unwrap();
        (pushed.id, pushed.replayed)
    };
    let (first, _) = push(keyed()).await;
    let reads = running.place.reads.clone();
    reads.close();
    let mut again = Box::pin(push(keyed()));
    tokio::select! {
        biased;
        _ = &mut again => panic!("the key's record is on the disk"),
        () = until(|| reads.holds_up()) => {}
    }
    running.push(0, "meanwhile").wait().await.unwrap();
    reads.open();
    assert_eq!(again.await, (first, true));
}

#[tokio::test]
async fn a_cold_dead_letter_moves_to_its_dead_letter_channel_when_it_has_been_read() {
    let mut config = channel("one");
    config.dead_letter.channel = Some("two".into());
    let running = Running::new(vec![config, channel("two")]);
    running.push(0, &"c".repeat(COLD_BYTES)).wait().await.unwrap();
    let reads = running.place.reads.clone();
    reads.close();
    let PullOutcome::Delivered(cold) = running.pull(0) else { panic!("there is a message") };
    let (number, claim) = (running.entries[0].id, cold.granted.claim());
    let rejected = running.shard.with(|shard| shard.reject(number, claim, Some("no"))).unwrap();
    rejected.wait().await.unwrap();
    running.push(0, "meanwhile").wait().await.unwrap();
    assert_eq!(running.pulled(0).await, "meanwhile");
    let PullOutcome::Waiting(_, arrival) = running.pull(1) else { panic!("it was not read yet") };
    reads.open();
    let delivery = arrival.await.unwrap().unwrap();
    assert_eq!(running.answer(*delivery).await.len(), COLD_BYTES);
}

#[tokio::test]
async fn a_segment_is_freed_when_pending_reads_of_it_have_finished() {
    let running = cold_and_hot(vec![]).await;
    let reads = running.place.reads.clone();
    reads.close();
    let PullOutcome::Delivered(cold) = running.pull(0) else { panic!("there is a message") };
    until(|| reads.holds_up()).await;
    // Settled before the read, as a receiver may do on another connection: nothing in its segment is needed any more.
    let number = running.entries[0].id;
    let claim = cold.granted.claim();
    running.shard.with(|shard| shard.settle(number, claim)).unwrap().wait().await.unwrap();
    let segments = || running.shard.with(|shard| shard.ledger.log.stats().segments);
    for _ in 0..20 {
        running.push(0, &"x".repeat(20_000)).wait().await.unwrap();
        let PullOutcome::Delivered(next) = running.pull(0) else { panic!("there is a message") };
        let claim = next.granted.claim();
        running.shard.with(|shard| shard.settle(number, claim)).unwrap().wait().await.unwrap();
    }
    assert!(segments() > 3, "{}", segments());
    reads.open();
    assert_eq!(running.answer(cold).await, "c".repeat(COLD_BYTES));
    until(|| segments() < 4).await;
}

#[tokio::test]
async fn while_a_spare_segment_is_created_only_writers_wait() {
    let running = Running::new(vec![channel("one"), in_memory("two")]);
    let spares = running.place.spares.clone();
    spares.close();
    let content = "x".repeat(20_000);
    let mut pushed = Vec::new();
    let refused = loop {
        let entries = [running.entries[0].clone()];
        match running.shard.with(|shard| shard.push(&entries, message(&content), None)) {
            Ok(push) => pushed.push(tokio::spawn(push.ticket.wait())),
            Err(refused) => break refused,
        }
        yield_now().await;
    };
    assert_eq!(refused, PushRefusal::StoreFull);
    until(|| spares.holds_up()).await;
    // Channels that need no disk, and other threads, are not affected.
    running.push(1, "two").wait().await.unwrap();
    assert!(matches!(running.pull(1), PullOutcome::Delivered(_)));
    assert_eq!(running.shards.close(running.entries[1].clone(), false).await.unwrap(), Err(1));
    spares.open();
    for push in pushed {
        push.await.unwrap().unwrap();
    }
    assert_eq!(running.pulled(0).await, content);
    running.push(0, "more").wait().await.unwrap();
}
