//! Work on one channel is divided into turns, with other channels in between.

use super::*;
use crate::channel::State;

#[test]
fn a_busy_channel_does_not_delay_other_channels() {
    let mut bench: Bench = Bench::new(vec![channel("busy"), channel("quiet")]);
    let many = 10 * EVENTS_PER_TURN;
    for number in 0..many {
        bench.push(&[0], Push { delay: Some(1), ..message(&number.to_string()) }).unwrap();
    }
    bench.push(&[1], Push { delay: Some(1), ..message("quiet") }).unwrap();
    let due = bench.shard.clock().now() + 2;
    while bench.shard.clock().now() < due {
        std::thread::yield_now();
    }
    bench.shard.elapse();
    let ready = |bench: &Bench, index: usize| {
        bench.shard.facts.channels[&bench.entries[index].id].state.count(State::Ready)
    };
    assert_eq!((ready(&bench, 0), ready(&bench, 1)), (EVENTS_PER_TURN as u64, 1));
    let mut turns = 1;
    while bench.shard.next_wake() == Some(0) {
        bench.shard.elapse();
        turns += 1;
    }
    assert_eq!((ready(&bench, 0), turns), (many as u64, 10));
}

#[test]
fn receivers_beyond_one_turn_are_served_in_the_next() {
    let mut config = channel("busy");
    config.paused = true;
    let mut bench: Bench = Bench::new(vec![config.clone()]);
    bench.shard.limits.waiting_receivers = usize::MAX;
    let (entry, pull) =
        (bench.entries[0].clone(), Pull { lease: 1000, attempt: None, answers: Share::unbounded() });
    let mut waiting = Vec::new();
    for number in 0..EVENTS_PER_TURN + 5 {
        bench.push(&[0], message(&number.to_string())).unwrap();
        let PullOutcome::Waiting(_, arrival) = bench.shard.pull(&entry, &pull).unwrap() else {
            panic!("it is paused")
        };
        waiting.push(arrival);
    }
    config.paused = false;
    let changed = bench.store.put(config).unwrap().changed;
    bench.shard.changed(&changed);
    let served = |waiting: &mut Vec<crate::channel::Arrival<Box<Delivery>>>| {
        waiting.iter_mut().filter_map(|arrival| arrival.try_recv().ok()).count()
    };
    assert_eq!(served(&mut waiting), EVENTS_PER_TURN);
    // A receiver that pulls now comes after the waiting ones.
    assert!(matches!(bench.shard.pull(&changed[0], &pull).unwrap(), PullOutcome::Waiting(..)));
    assert_eq!(bench.shard.next_wake(), Some(0));
    bench.shard.elapse();
    assert_eq!(served(&mut waiting), 5);
}

#[test]
fn a_pull_processes_due_events_before_the_timer_fires() {
    let source = TimeSource::of_test(clock::RIGHT);
    let mut bench: Bench = Bench::by(source, vec![channel("one")]);
    bench.push(&[0], Push { ttl: Some(1000), ..message("expired") }).unwrap();
    bench.push(&[0], Push { delay: Some(1000), ..message("is due") }).unwrap();
    bench.source.pass(std::time::Duration::from_secs(2));
    let delivery = bench.pull(0, 1000).unwrap();
    assert_eq!(bench.content(delivery.content).content.body, "is due");
    // A waiting receiver came earlier.
    bench.push(&[0], Push { delay: Some(1000), ..message("for the waiting receiver") }).unwrap();
    let pull = Pull { lease: 1000, attempt: None, answers: Share::unbounded() };
    let entry = bench.entries[0].clone();
    let PullOutcome::Waiting(_, mut arrival) = bench.shard.pull(&entry, &pull).unwrap() else {
        panic!("it is not due")
    };
    bench.source.pass(std::time::Duration::from_millis(1001));
    assert!(
        matches!(bench.shard.pull(&entry, &pull).unwrap(), PullOutcome::Delivered(_)),
        "the earlier lease has expired"
    );
    assert!(arrival.try_recv().is_ok());
}
