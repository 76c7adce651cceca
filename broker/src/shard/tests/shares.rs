//! Limits of what one channel or one receiver can take from the others.

use super::*;
use crate::shared::Shared;

/// Pushes until a push is refused. Returns the number of accepted ones.
fn fill(
    bench: &mut Bench<Stream>,
    channel: usize,
    key_of: impl Fn(u64) -> Option<u128>,
) -> (u64, PushRefusal) {
    for count in 0.. {
        let key = key_of(count).map(|hash| keys::PushKey { hash, fingerprint: 1 });
        match bench.push(&[channel], Push { key, ..message(&"x".repeat(100)) }) {
            Ok(_) => {}
            Err(refusal) => return (count, refusal),
        }
    }
    unreachable!("some push is refused")
}

#[test]
fn a_channel_that_fills_the_disk_leaves_room_for_other_channels() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("greedy"), channel("modest")]);
    bench.shard.disk.budget().set_max(160_000);
    let (count, refusal) = fill(&mut bench, 0, |_| None);
    assert!(matches!(refusal, PushRefusal::DiskShare { stored, .. } if stored == count * 100), "{refusal:?}");
    assert!(count > 1000, "{count}");
    assert!(bench.push(&[1], message("modest")).is_ok());
}

#[test]
fn a_settled_message_leaves_the_share_of_its_channel() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("greedy")]);
    bench.shard.disk.budget().set_max(160_000);
    fill(&mut bench, 0, |_| None);
    let delivery = bench.pull(0, 60_000).unwrap();
    let _ = bench.shard.settle(delivery.channel, delivery.granted.claim()).unwrap();
    assert!(bench.push(&[0], message("again")).is_ok());
}

#[test]
fn a_channel_that_fills_the_key_table_leaves_keys_for_other_channels() {
    let mut config = [channel("greedy"), channel("modest")];
    config.iter_mut().for_each(|config| config.deduplication_window_seconds = 604_800);
    let mut bench: Bench<Stream> = Bench::new(config.into());
    let spread = |count: u64| u128::from(count) << 96 | u128::from(count) << 32 | u128::from(count);
    let (_, refusal) = fill(&mut bench, 0, |count| Some(spread(count)));
    assert_eq!(refusal, PushRefusal::TooManyIdempotencyKeys);
    let key = Some(keys::PushKey { hash: u128::MAX, fingerprint: 1 });
    assert!(bench.push(&[1], Push { key, ..message("modest") }).is_ok());
}

/// A small budget for answers.
fn answers(bytes: u64) -> Shared<u8> {
    Shared::new(bytes, prometheus::IntCounter::new("refused", "of the test").unwrap())
}

fn waiting(bench: &mut Bench<Stream>, answers: &Share) -> crate::channel::Arrival<Box<Delivery>> {
    let pull = Pull { lease: 60_000, attempt: None, answers: answers.clone() };
    match bench.shard.pull(&bench.entries[0].clone(), &pull).unwrap() {
        PullOutcome::Waiting(_, arrival) => arrival,
        other => panic!("expected to wait, got {other:?}"),
    }
}

#[test]
fn a_receiver_without_memory_keeps_its_place_and_later_ones_are_served() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("orders")]);
    let answers = answers(1000);
    let (slow, quick) = (answers.share(1), answers.share(2));
    let held = slow.take(700).unwrap();
    let (mut first, mut second) = (waiting(&mut bench, &slow), waiting(&mut bench, &quick));
    bench.push(&[0], message(&"x".repeat(100))).unwrap();
    assert!(first.try_recv().is_err());
    assert!(second.try_recv().unwrap().is_ok());
    bench.push(&[0], message(&"x".repeat(100))).unwrap();
    assert!(bench.shard.serve_starved(), "the first still lacks memory");
    drop(held);
    assert!(!bench.shard.serve_starved());
    assert!(first.try_recv().unwrap().is_ok());
}

#[test]
fn a_message_is_leased_only_when_there_is_memory_for_its_answer() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("orders")]);
    bench.push(&[0], message(&"x".repeat(100))).unwrap();
    let pull = Pull { lease: 60_000, attempt: None, answers: answers(99).share(1) };
    let refused = bench.shard.pull(&bench.entries[0].clone(), &pull);
    assert!(matches!(refused, Err(PullRefusal::NoMemory)), "{refused:?}");
    assert_eq!(bench.pull(0, 60_000).unwrap().granted.deliveries(), 1);
}

#[test]
fn one_client_leaves_places_for_other_waiting_receivers() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("orders")]);
    let answers = answers(1000);
    let entry = bench.entries[0].clone();
    let mut wait = |holder| {
        let pull = Pull { lease: 60_000, attempt: None, answers: answers.share(holder) };
        bench.shard.pull(&entry, &pull).is_ok()
    };
    let greedy = (0..10).filter(|_| wait(1)).count();
    assert!((5..10).contains(&greedy), "{greedy}");
    assert!(wait(2));
}
