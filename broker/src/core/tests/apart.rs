//! A message to channels of two cores, of which one or the other is behind when the broker ends.

use super::{many::Many, *};
use crate::log::disk::simulated::Chance;

/// Two channels, and the core of each.
fn two() -> (Many, [usize; 2]) {
    two_of(["one", "two"].map(channel))
}

pub(super) fn two_of(channels: [ChannelConfig; 2]) -> (Many, [usize; 2]) {
    let many = Many::new(channels.to_vec(), 2);
    let cores = [0, 1].map(|channel| many.core_of(many.entries[channel].number));
    assert_ne!(cores[0], cores[1]);
    (many, cores)
}

/// Contents of a channel, none of which anybody has.
fn contents(many: &mut Many, channel: usize) -> Vec<String> {
    let mut contents = Vec::new();
    while let Some(delivery) = many.pull(channel, 3_600_000) {
        let content = many.content(delivery.content).content;
        contents.push(String::from_utf8(content.body.to_vec()).unwrap());
    }
    contents
}

fn settle_next(many: &mut Many, channel: usize) {
    let delivery = many.pull(channel, 3_600_000).unwrap();
    let _ = many.core(delivery.channel).settle(delivery.channel, delivery.granted.claim()).unwrap();
}

/// All that is in the log of a channel's core by now is given back, or copied.
pub(super) fn rotate(many: &mut Many, channel: usize) {
    let core = many.core_of(many.entries[channel].number);
    for _ in 0..30 {
        let _ = many.push(&[channel], message(&"x".repeat(20_000))).unwrap();
        settle_next(many, channel);
        many.commit_one(core);
        many.go_on_alone(core);
    }
    many.reclaim(core);
    assert!(many.cores[core].lock().log.stats().segments < 3, "what was there is gone");
}

#[test]
fn what_the_other_core_does_not_have_on_disk_stays_in_the_outbox() {
    for seed in 0..20 {
        let (mut many, [first, _]) = two();
        let pushed = many.push(&[0, 1], message("to both")).unwrap();
        // The other core has it in its open group, and commits nothing.
        for _ in 0..4 {
            many.commit_one(first);
            many.go_on();
        }
        assert!(is_kept(&pushed.ticket), "every core has it");
        let left = many.left(Some(Chance::new(seed)));
        many = many.start(left, 2);
        many.commit();
        for channel in [0, 1] {
            assert_eq!(contents(&mut many, channel), ["to both"], "with seed {seed}");
        }
    }
}

#[test]
fn what_was_taken_is_known_until_it_has_left_the_outbox_on_disk() {
    let (mut many, [first, _]) = two();
    let pushed = many.push(&[0, 1], message("to both")).unwrap();
    while !many.cores[first].lock().outbox.is_empty() {
        (0..2).for_each(|core| many.commit_one(core));
        many.go_on();
    }
    assert!(is_kept(&pushed.ticket));
    // That it has left is not written yet, when its copy is settled and given back.
    settle_next(&mut many, 1);
    rotate(&mut many, 1);
    let left = many.left(None);
    many = many.start(left, 2);
    many.commit();
    assert_eq!(contents(&mut many, 0), ["to both"]);
    assert!(contents(&mut many, 1).is_empty(), "it was settled");
}

#[test]
fn messages_of_an_outbox_come_in_their_order_also_after_a_start() {
    for starts_anew in [false, true] {
        let (mut many, [first, _]) = two();
        for content in ["first", "second", "third"] {
            let _ = many.push(&[0, 1], message(content)).unwrap();
        }
        many.commit_one(first);
        if starts_anew {
            let left = many.left(None);
            many = many.start(left, 2);
        }
        many.commit();
        assert_eq!(contents(&mut many, 1), ["first", "second", "third"], "after a start: {starts_anew}");
    }
}

#[test]
fn what_several_starts_have_left_in_an_outbox_comes_in_its_order() {
    // Places are drawn at each start: eight in their order by chance are one run of forty thousand.
    let numbers: Vec<_> = (0..8).map(|number| number.to_string()).collect();
    let (mut many, [first, _]) = two();
    for number in &numbers {
        let _ = many.push(&[0, 1], message(number)).unwrap();
        many.commit_one(first);
        let pushed_at = many.cores[first].lock().clock().now();
        let left = many.left(None);
        many = many.start(left, 2);
        while many.cores[first].lock().clock().now() == pushed_at {
            std::thread::yield_now();
        }
    }
    many.commit();
    assert_eq!(contents(&mut many, 1), numbers);
}

/// How many messages scrapes are told of that cores have for others.
fn outgoing(many: &Many) -> u64 {
    let sum = Samples::default();
    many.cores.iter().for_each(|core| sum.add(&core.lock().samples()));
    sum.outgoing.into_inner()
}

#[test]
fn scrapes_see_what_is_in_an_outbox_also_after_a_start() {
    let (mut many, [first, _]) = two();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    many.commit_one(first);
    assert_eq!(outgoing(&many), 1);
    let left = many.left(None);
    many = many.start(left, 2);
    assert_eq!(outgoing(&many), 1, "before anything is committed");
    many.commit();
    assert_eq!(outgoing(&many), 0);
}

#[test]
fn a_message_is_admitted_by_every_core_or_stored_by_none() {
    let mut full = channel("two");
    full.limits.messages = 1;
    let mut many = Many::new(vec![channel("one"), full], 2);
    let _ = many.push(&[0, 1], message("first")).unwrap();
    many.commit();
    assert!(matches!(many.push(&[0, 1], message("second")), Err(PushRefusal::Full(_))));
    many.commit();
    assert_eq!(
        (contents(&mut many, 0), contents(&mut many, 1)),
        (vec!["first".into()], vec!["first".into()])
    );
}

#[test]
fn what_is_in_the_outbox_outlives_the_compaction_of_its_log() {
    let (mut many, _) = two();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    settle_next(&mut many, 0);
    rotate(&mut many, 0);
    let left = many.left(None);
    many = many.start(left, 2);
    many.commit();
    assert!(contents(&mut many, 0).is_empty());
    assert_eq!(contents(&mut many, 1), ["to both"]);
}

#[test]
fn what_has_left_an_outbox_of_an_older_log_does_not_go_out_again() {
    let (mut many, [first, _]) = two();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    many.commit_one(first);
    let left = many.left(None);
    many = many.start(left, 3);
    many.commit();
    (0..2).for_each(|channel| settle_next(&mut many, channel));
    many.commit();
    // The older log stays for as long as the third core needs it; what was written since goes.
    (0..2).for_each(|channel| rotate(&mut many, channel));
    let left = many.left(None);
    many = many.start(left, 3);
    many.commit();
    assert!(contents(&mut many, 0).is_empty() && contents(&mut many, 1).is_empty());
}

#[test]
fn a_message_is_not_taken_for_one_of_a_start_before() {
    let (mut many, [first, _]) = two();
    let _ = many.push(&[0, 1], message("before")).unwrap();
    many.commit();
    let left = many.left(None);
    many = many.start(left, 2);
    let _ = many.push(&[0, 1], message("after")).unwrap();
    many.commit_one(first);
    let left = many.left(None);
    many = many.start(left, 2);
    many.commit();
    assert_eq!(contents(&mut many, 1), ["before", "after"]);
}

#[test]
fn a_repeat_of_a_push_to_several_cores_is_told_when_all_have_it() {
    let mut channels = ["one", "two"].map(channel);
    channels[0].deduplication_window_seconds = 60;
    let (mut many, [first, _]) = two_of(channels);
    let keyed = || Push { key: Some(idempotency::PushKey { hash: 1, fingerprint: 1 }), ..message("to both") };
    let pushed = many.push(&[0, 1], keyed()).unwrap();
    many.commit_one(first);
    let again = many.push(&[0, 1], keyed()).unwrap();
    assert!(again.replayed && again.id == pushed.id);
    assert!(!is_kept(&pushed.ticket) && !is_kept(&again.ticket), "the other core does not have it");
    many.commit();
    assert!(is_kept(&pushed.ticket) && is_kept(&again.ticket));
}
