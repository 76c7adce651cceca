//! What one channel, or one receiver, cannot take from the others.

use super::*;
use crate::shared::Shared;

/// Pushes until it is refused; how often it was not.
fn fill(
    bench: &mut Bench<Stream>,
    channel: usize,
    key_of: impl Fn(u64) -> Option<u128>,
) -> (u64, PushRefusal) {
    for count in 0.. {
        let key = key_of(count).map(|hash| idempotency::PushKey { hash, fingerprint: 1 });
        match bench.push(&[channel], Push { key, ..message(&"x".repeat(100)) }) {
            Ok(_) => {}
            Err(refusal) => return (count, refusal),
        }
    }
    unreachable!("some push is refused")
}

#[test]
fn a_channel_that_fills_the_disk_leaves_room_to_others() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("greedy"), channel("modest")]);
    bench.core.disk.budget().set_max(160_000);
    let (count, refusal) = fill(&mut bench, 0, |_| None);
    assert!(matches!(refusal, PushRefusal::DiskShare { stored, .. } if stored == count * 100), "{refusal:?}");
    assert!(count > 1000, "{count}");
    assert!(bench.push(&[1], message("modest")).is_ok());
}

#[test]
fn what_is_settled_is_no_part_of_a_share_any_more() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("greedy")]);
    bench.core.disk.budget().set_max(160_000);
    fill(&mut bench, 0, |_| None);
    let delivery = bench.pull(0, 60_000).unwrap();
    let _ = bench.core.settle(delivery.channel, delivery.granted.claim()).unwrap();
    assert!(bench.push(&[0], message("again")).is_ok());
}

#[test]
fn a_channel_that_fills_the_keys_leaves_some_to_others() {
    let mut config = [channel("greedy"), channel("modest")];
    config.iter_mut().for_each(|config| config.deduplication_window_seconds = 604_800);
    let mut bench: Bench<Stream> = Bench::new(config.into());
    let spread = |count: u64| u128::from(count) << 96 | u128::from(count) << 32 | u128::from(count);
    let (_, refusal) = fill(&mut bench, 0, |count| Some(spread(count)));
    assert_eq!(refusal, PushRefusal::IdempotencyFull);
    let key = Some(idempotency::PushKey { hash: u128::MAX, fingerprint: 1 });
    assert!(bench.push(&[1], Push { key, ..message("modest") }).is_ok());
}

/// Answers of a few bytes.
fn answers(bytes: u64) -> Shared<u8> {
    Shared::new(bytes, prometheus::IntCounter::new("refused", "of the test").unwrap())
}

fn waiting(bench: &mut Bench<Stream>, answers: &Share) -> crate::channel::Arrival<Box<Delivery>> {
    let asked = Asked { lease: 60_000, attempt: None, answers: answers.clone() };
    match bench.core.pull(&bench.entries[0].clone(), &asked).unwrap() {
        Delivered::Later(_, arrival) => arrival,
        other => panic!("it waits, and does not get {other:?}"),
    }
}

#[test]
fn a_receiver_without_memory_keeps_its_place_and_those_behind_it_are_served() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("orders")]);
    let answers = answers(1000);
    let (slow, quick) = (answers.share(1), answers.share(2));
    let held = slow.take(700).unwrap();
    let (mut first, mut second) = (waiting(&mut bench, &slow), waiting(&mut bench, &quick));
    bench.push(&[0], message(&"x".repeat(100))).unwrap();
    assert!(first.try_recv().is_err());
    assert!(second.try_recv().unwrap().is_ok());
    bench.push(&[0], message(&"x".repeat(100))).unwrap();
    assert!(bench.core.serve_those_without_memory(), "there is still none for the first");
    drop(held);
    assert!(!bench.core.serve_those_without_memory());
    assert!(first.try_recv().unwrap().is_ok());
}

#[test]
fn a_message_is_leased_only_when_there_is_memory_for_its_answer() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("orders")]);
    bench.push(&[0], message(&"x".repeat(100))).unwrap();
    let asked = Asked { lease: 60_000, attempt: None, answers: answers(99).share(1) };
    let refused = bench.core.pull(&bench.entries[0].clone(), &asked);
    assert!(matches!(refused, Err(PullRefusal::NoMemory)), "{refused:?}");
    assert_eq!(bench.pull(0, 60_000).unwrap().granted.deliveries(), 1);
}

#[test]
fn one_receiver_leaves_places_to_wait_to_others() {
    let mut bench: Bench<Stream> = Bench::new(vec![channel("orders")]);
    let answers = answers(1000);
    let entry = bench.entries[0].clone();
    let mut wait = |holder| {
        let asked = Asked { lease: 60_000, attempt: None, answers: answers.share(holder) };
        bench.core.pull(&entry, &asked).is_ok()
    };
    let greedy = (0..10).filter(|_| wait(1)).count();
    assert!((5..10).contains(&greedy), "{greedy}");
    assert!(wait(2));
}
