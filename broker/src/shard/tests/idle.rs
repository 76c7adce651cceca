//! Eviction of idle channels, and their return.

use super::*;

/// An evicted channel: a message came and went, and then others in other channels.
fn evicted() -> Bench {
    let mut bench = Bench::<Folder>::new(["a", "b", "c"].map(channel).into());
    for index in 0..3 {
        come_and_go(&mut bench, index);
    }
    assert!(bench.shard.idle.is_evicted(bench.entries[0].id));
    bench
}

fn come_and_go(bench: &mut Bench, index: usize) -> Delivery {
    bench.push(&[index], message("one")).unwrap();
    let delivery = bench.pull(index, 60_000).unwrap();
    let _ = bench.shard.settle(delivery.channel, delivery.granted.claim()).unwrap();
    delivery
}

#[test]
fn an_evicted_channel_reuses_no_sequence_and_keeps_its_counters() {
    let mut bench = evicted();
    let number = bench.entries[0].id;
    assert_eq!(come_and_go(&mut bench, 0).granted.sequence, 1);
    let counters = bench.shard.counters.get(number);
    assert_eq!(counters.pushed.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_lease_of_an_evicted_channel_counts_as_settled() {
    let mut bench = evicted();
    let delivery = come_and_go(&mut bench, 0);
    come_and_go(&mut bench, 1);
    come_and_go(&mut bench, 2);
    let again = bench.shard.settle(delivery.channel, delivery.granted.claim());
    assert!(again.is_ok(), "a repeat succeeds like the first settle");
    let renewed = bench.shard.renew(delivery.channel, delivery.granted.claim(), None);
    assert!(matches!(renewed, Err(SettleRefusal::Lease(crate::channel::Refusal::Settled))));
}

#[test]
fn a_channel_with_a_waiting_receiver_or_a_listener_or_a_rate_limit_is_not_evicted() {
    let measured = || {
        let mut config = channel("measured");
        config.limits.pushes_per_second = 1;
        config
    };
    let mut bench = Bench::<Folder>::new(vec![
        channel("waits"),
        channel("listens"),
        measured(),
        channel("b"),
        channel("c"),
    ]);
    let (waits, listens) = (bench.entries[0].clone(), bench.entries[1].clone());
    let pull = Pull { lease: 60_000, attempt: None, answers: Share::unbounded() };
    let PullOutcome::Waiting(_, mut arrival) = bench.shard.pull(&waits, &pull).unwrap() else {
        panic!("it is empty")
    };
    let ended = bench.shard.lease_ends(&listens).unwrap();
    come_and_go(&mut bench, 1);
    come_and_go(&mut bench, 2);
    for _ in 0..2 {
        come_and_go(&mut bench, 3);
        come_and_go(&mut bench, 4);
    }
    bench.push(&[0], message("for the waiting receiver")).unwrap();
    assert!(arrival.try_recv().is_ok());
    assert!(Arc::ptr_eq(&ended, &bench.shard.lease_ends(&listens).unwrap()));
    assert!(matches!(bench.push(&[2], message("too fast")), Err(PushRefusal::TooFast { .. })));
}

#[test]
fn a_deleted_evicted_channel_leaves_nothing_behind() {
    let mut bench = evicted();
    let number = bench.entries[0].id;
    let entry = bench.entries[0].clone();
    let (gone, _) = bench.shard.close(&entry, false).unwrap().unwrap();
    bench.shard.removed(number);
    assert_eq!(gone, 0);
    assert_eq!(bench.shard.counters.get(number).pushed.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert!(!bench.shard.idle.is_evicted(number));
}
