//! Channels in which nothing happens, and what they are when somebody comes again.

use super::*;

/// A channel with one message that came and went, while others did as well: it rests.
fn rested() -> Bench {
    let mut bench = Bench::<Folder>::new(["a", "b", "c"].map(channel).into());
    for index in 0..3 {
        come_and_go(&mut bench, index);
    }
    assert!(bench.core.resting.rests(bench.entries[0].number));
    bench
}

fn come_and_go(bench: &mut Bench, index: usize) -> Delivery {
    bench.push(&[index], message("one")).unwrap();
    let delivery = bench.pull(index, 60_000).unwrap();
    let _ = bench.core.settle(delivery.channel, delivery.granted.claim()).unwrap();
    delivery
}

#[test]
fn a_channel_that_rested_gives_no_sequence_twice_and_counts_on() {
    let mut bench = rested();
    let number = bench.entries[0].number;
    assert_eq!(come_and_go(&mut bench, 0).granted.sequence, 1);
    let counters = bench.core.counters.get(number);
    assert_eq!(counters.pushed.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_lease_of_a_channel_that_rests_is_settled_already() {
    let mut bench = rested();
    let delivery = come_and_go(&mut bench, 0);
    come_and_go(&mut bench, 1);
    come_and_go(&mut bench, 2);
    let again = bench.core.settle(delivery.channel, delivery.granted.claim());
    assert!(again.is_ok(), "it is as good as the first time");
    let renewed = bench.core.renew(delivery.channel, delivery.granted.claim(), None);
    assert!(matches!(renewed, Err(SettleRefusal::Lease(crate::channel::Refusal::Settled))));
}

#[test]
fn a_channel_where_somebody_waits_or_listens_or_is_measured_does_not_rest() {
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
    let asked = Asked { lease: 60_000, attempt: None, answers: Share::unbounded() };
    let Delivered::Later(_, mut arrival) = bench.core.pull(&waits, &asked).unwrap() else {
        panic!("it is empty")
    };
    let ended = bench.core.lease_ends(&listens).unwrap();
    come_and_go(&mut bench, 1);
    come_and_go(&mut bench, 2);
    for _ in 0..2 {
        come_and_go(&mut bench, 3);
        come_and_go(&mut bench, 4);
    }
    bench.push(&[0], message("for whoever waits")).unwrap();
    assert!(arrival.try_recv().is_ok());
    assert!(Arc::ptr_eq(&ended, &bench.core.lease_ends(&listens).unwrap()));
    assert!(matches!(bench.push(&[2], message("too fast")), Err(PushRefusal::TooFast { .. })));
}

#[test]
fn a_channel_that_is_deleted_while_it_rests_leaves_nothing_behind() {
    let mut bench = rested();
    let number = bench.entries[0].number;
    let entry = bench.entries[0].clone();
    let (gone, _) = bench.core.close(&entry, false).unwrap().unwrap();
    bench.core.removed(number);
    assert_eq!(gone, 0);
    assert_eq!(bench.core.counters.get(number).pushed.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert!(!bench.core.resting.rests(number));
}
