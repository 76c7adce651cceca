//! Leased messages on their way to a receiver: they return unless they were sent.

use std::task::Waker;

use super::*;
use crate::channel::State;

/// A shard with one ready message, and a way to run its thread once.
fn shard() -> (ThreadedShard, impl FnMut()) {
    let mut bench: Bench = Bench::new(vec![channel("one")]);
    let _ = bench.push(&[0], message("a message")).unwrap();
    let mut on = bench.threaded();
    let (mut jobs, shards) = (on.jobs.take().unwrap(), on.reach.clone());
    let mut thread = Box::pin(async move { jobs.run(&shards).await });
    let turn = move || {
        assert!(thread.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    };
    (on, turn)
}

fn pulled(shard: &mut Shard, entry: &Arc<ChannelEntry>) -> Delivery {
    let pull = Pull { lease: 60_000, attempt: None, answers: Share::unbounded() };
    match shard.pull(entry, &pull).unwrap() {
        PullOutcome::Delivered(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

/// The number of ready messages, and the deliveries of the first message.
fn ready(on: &ThreadedShard) -> (u64, u32) {
    on.shard.with(|shard| {
        let state = &shard.facts.channels[&on.entries[0].id].state;
        let deliveries = state.message(0).map_or(0, |message| message.lease_counts.deliveries());
        (state.count(State::Ready), deliveries)
    })
}

#[test]
fn a_message_that_is_not_sent_returns_and_the_delivery_does_not_count() {
    let (on, mut turn) = shard();
    let delivery = on.shard.with(|shard| pulled(shard, &on.entries[0]));
    assert_eq!(ready(&on), (0, 1));
    drop(delivery);
    turn();
    assert_eq!(ready(&on), (1, 0));
}

#[test]
fn a_message_may_be_dropped_while_its_shard_is_in_use() {
    let (on, mut turn) = shard();
    on.shard.with(|shard| drop(pulled(shard, &on.entries[0])));
    turn();
    assert_eq!(ready(&on), (1, 0));
}

#[test]
fn a_message_that_was_sent_stays_leased() {
    let (on, mut turn) = shard();
    let mut delivery = on.shard.with(|shard| pulled(shard, &on.entries[0]));
    delivery.handout.keep();
    drop(delivery);
    turn();
    assert_eq!(ready(&on), (0, 1));
}

#[test]
fn a_message_for_a_receiver_that_hung_up_returns() {
    let mut config = channel("one");
    config.paused = true;
    let mut bench: Bench = Bench::new(vec![config.clone()]);
    let _ = bench.push(&[0], message("a message")).unwrap();
    let mut on = bench.threaded();
    let (mut jobs, shards) = (on.jobs.take().unwrap(), on.reach.clone());
    let mut thread = Box::pin(async move { jobs.run(&shards).await });
    let pull = Pull { lease: 60_000, attempt: None, answers: Share::unbounded() };
    let waiting = on.shard.with(|shard| shard.pull(&on.entries[0], &pull).unwrap());
    config.paused = false;
    let changed = on.store.put(config).unwrap().changed;
    on.shard.with(|shard| shard.changed(&changed));
    assert_eq!(ready(&on), (0, 1), "it waits in the receiver's channel");
    drop(waiting);
    assert!(thread.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(ready(&on), (1, 0));
}
