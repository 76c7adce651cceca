//! Messages to channels of two shards, one of which lags behind when the broker ends.

use crate::shard::tests::{many_shards::Many, *};
use crate::{
    log::{ParcelId, ParcelNumber, Read, disk::simulated::Chance},
    shard::relay::PARCELS_MAX,
};

/// Two channels of different shards, and the shard of each.
fn two() -> (Many, [usize; 2]) {
    two_of(["one", "two"].map(channel))
}

pub(super) fn two_of(channels: [ChannelConfig; 2]) -> (Many, [usize; 2]) {
    let many = Many::new(channels.to_vec(), 2);
    let shards = [0, 1].map(|channel| many.shard_of(many.entries[channel].id));
    assert_ne!(shards[0], shards[1]);
    (many, shards)
}

/// A broker with three shards, and a channel of each.
fn three() -> (Many, [usize; 3]) {
    let many = Many::new((0..20).map(|number| channel(&format!("channel-{number}"))).collect(), 3);
    let of = |shard| (0..20).find(|channel| many.shard_of(many.entries[*channel].id) == shard).unwrap();
    let channels = [0, 1, 2].map(of);
    (many, channels)
}

/// The messages of a channel that are ready.
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
    let _ = many.shard(delivery.channel).settle(delivery.channel, delivery.granted.claim()).unwrap();
}

/// Reclaims or copies all records in the log of a channel's shard.
pub(super) fn rotate(many: &mut Many, channel: usize) {
    let shard = many.shard_of(many.entries[channel].id);
    for _ in 0..30 {
        let _ = many.push(&[channel], message(&"x".repeat(20_000))).unwrap();
        settle_next(many, channel);
        many.commit_one(shard);
        many.go_on_alone(shard);
    }
    many.reclaim(shard);
    assert!(many.shards[shard].lock().ledger.log.stats().segments < 3, "the old segments are gone");
}

#[test]
fn a_parcel_is_kept_until_the_other_shard_has_it_on_disk() {
    for seed in 0..20 {
        let (mut many, [first, _]) = two();
        let pushed = many.push(&[0, 1], message("to both")).unwrap();
        // The other shard has it in its open batch, and does not commit.
        for _ in 0..4 {
            many.commit_one(first);
            many.run_turn();
        }
        assert!(is_kept(&pushed.ticket), "every shard has it");
        let left = many.disks_after_end(Some(Chance::new(seed)));
        many = many.start(left, 2);
        many.commit();
        for channel in [0, 1] {
            assert_eq!(contents(&mut many, channel), ["to both"], "with seed {seed}");
        }
    }
}

#[test]
fn a_stored_parcel_is_remembered_until_its_removal_is_on_disk() {
    let (mut many, [first, _]) = two();
    let pushed = many.push(&[0, 1], message("to both")).unwrap();
    while !many.shards[first].lock().outgoing.is_empty() {
        (0..2).for_each(|shard| many.commit_one(shard));
        many.run_turn();
    }
    assert!(is_kept(&pushed.ticket));
    // The removal is not written yet when the copy is settled and reclaimed.
    settle_next(&mut many, 1);
    rotate(&mut many, 1);
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    many.commit();
    assert_eq!(contents(&mut many, 0), ["to both"]);
    assert!(contents(&mut many, 1).is_empty(), "it was settled");
}

#[test]
fn parcels_arrive_in_their_order_also_after_a_start() {
    for starts_anew in [false, true] {
        let (mut many, [first, _]) = two();
        for content in ["first", "second", "third"] {
            let _ = many.push(&[0, 1], message(content)).unwrap();
        }
        many.commit_one(first);
        if starts_anew {
            let left = many.disks_after_end(None);
            many = many.start(left, 2);
        }
        many.commit();
        assert_eq!(contents(&mut many, 1), ["first", "second", "third"], "after a start: {starts_anew}");
    }
}

#[test]
fn parcels_of_several_starts_arrive_in_their_order() {
    // Ids are drawn at each start: eight in order by chance occur once in forty thousand runs.
    let numbers: Vec<_> = (0..8).map(|number| number.to_string()).collect();
    let (mut many, [first, _]) = two();
    for number in &numbers {
        let _ = many.push(&[0, 1], message(number)).unwrap();
        many.commit_one(first);
        let pushed_at = many.shards[first].lock().clock().now();
        let left = many.disks_after_end(None);
        many = many.start(left, 2);
        while many.shards[first].lock().clock().now() == pushed_at {
            std::thread::yield_now();
        }
    }
    many.commit();
    assert_eq!(contents(&mut many, 1), numbers);
}

/// The messages in relay that a scrape shows.
fn relay_messages(many: &Many) -> u64 {
    let sum = Samples::default();
    many.shards.iter().for_each(|shard| sum.add(&shard.lock().samples()));
    sum.relay_messages.into_inner()
}

#[test]
fn scrapes_show_parcels_also_after_a_start() {
    let (mut many, [first, _]) = two();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    many.commit_one(first);
    assert_eq!(relay_messages(&many), 1);
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    assert_eq!(relay_messages(&many), 1, "before anything is committed");
    many.commit();
    assert_eq!(relay_messages(&many), 0);
}

#[test]
fn a_message_is_admitted_by_every_shard_or_stored_by_none() {
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
fn a_parcel_survives_the_compaction_of_its_log() {
    let (mut many, _) = two();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    settle_next(&mut many, 0);
    rotate(&mut many, 0);
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    many.commit();
    assert!(contents(&mut many, 0).is_empty());
    assert_eq!(contents(&mut many, 1), ["to both"]);
}

#[test]
fn a_removed_parcel_of_an_older_log_is_not_sent_again() {
    let (mut many, [first, _]) = two();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    many.commit_one(first);
    let left = many.disks_after_end(None);
    many = many.start(left, 3);
    many.commit();
    (0..2).for_each(|channel| settle_next(&mut many, channel));
    many.commit();
    // The older log stays while the third shard needs it; everything written since is reclaimed.
    (0..2).for_each(|channel| rotate(&mut many, channel));
    let left = many.disks_after_end(None);
    many = many.start(left, 3);
    many.commit();
    assert!(contents(&mut many, 0).is_empty() && contents(&mut many, 1).is_empty());
}

#[test]
fn a_parcel_is_not_mistaken_for_one_of_an_earlier_start() {
    let (mut many, [first, _]) = two();
    let _ = many.push(&[0, 1], message("before")).unwrap();
    many.commit();
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    let _ = many.push(&[0, 1], message("after")).unwrap();
    many.commit_one(first);
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    many.commit();
    assert_eq!(contents(&mut many, 1), ["before", "after"]);
}

#[test]
fn a_parcel_is_not_mistaken_for_an_earlier_one_that_only_its_receiver_remembers() {
    let (mut many, [first, second]) = two();
    let _ = many.push(&[0, 1], message("before")).unwrap();
    many.commit();
    // The origin's log forgets the parcel, and a power cut takes whatever it can.
    settle_next(&mut many, 0);
    rotate(&mut many, 0);
    let remembered = many.shards[second].lock().facts.incoming.floor_of(first as u32).unwrap();
    let left = many.disks_after_losing(first);
    many = many.start(left, 2);
    assert!(many.shards[first].lock().outgoing.next().number > remembered);
    let _ = many.push(&[0, 1], message("after")).unwrap();
    many.commit();
    assert_eq!(contents(&mut many, 1), ["before", "after"]);
}

#[test]
fn the_floor_stays_below_a_parcel_whose_removal_is_not_committed() {
    let (mut many, [first, second]) = two();
    let _ = many.push(&[0, 1], message("one")).unwrap();
    let one = many.shards[first].lock().outgoing.next().number.count - 1;
    many.commit_one(first);
    // The other shard has it on disk; the removal is appended, and held back.
    for _ in 0..4 {
        many.run_turn();
        many.commit_one(second);
    }
    many.run_turn();
    assert_eq!(many.shards[first].lock().outgoing.len(), 0, "it is removed");
    many.hold_back(first);
    let _ = many.push(&[0, 1], message("two")).unwrap();
    for _ in 0..4 {
        many.begin(first);
        many.run_turn();
    }
    let floor = |many: &Many| many.shards[second].lock().facts.incoming.floor_of(first as u32).unwrap().count;
    assert_eq!(floor(&many), one);
    many.release(first);
    tell_floors(&mut many);
    assert_eq!(floor(&many), one + 2);
}

/// Delivers all parcels, and lets the receivers know.
fn tell_floors(many: &mut Many) {
    many.commit();
    (0..2).for_each(|_| many.run_turn());
}

/// The newest parcel of a shard, and its record.
fn only_parcel(many: &Many, shard: usize) -> (ParcelId, Bytes) {
    let mut origin = many.shards[shard].lock();
    let ParcelId { shard, number: ParcelNumber { epoch, count } } = origin.outgoing.next();
    let id = ParcelId { shard, number: ParcelNumber { epoch, count: count - 1 } };
    match origin.read_parcel(id).unwrap() {
        Some(Read::Here(bytes)) => (id, bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_parcel_that_comes_again_after_its_receiver_forgot_it_is_not_stored() {
    let (mut many, [first, second]) = two();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    let (id, bytes) = only_parcel(&many, first);
    tell_floors(&mut many);
    settle_next(&mut many, 1);
    // Only the floor remains, also after a restart of the receiver.
    rotate(&mut many, 1);
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    let floor = many.shards[second].lock().facts.incoming.floor_of(first as u32).unwrap();
    assert!(id.number < floor);
    let _ = many.shards[second].lock().receive_parcel(id, id.number, &bytes).unwrap();
    many.commit();
    assert!(contents(&mut many, 1).is_empty());
}

#[test]
fn a_receiver_that_takes_nothing_does_not_delay_others() {
    let (mut many, [from, stuck, other]) = three();
    let _ = many.push(&[from, stuck], message("stuck")).unwrap();
    let _ = many.push(&[from, other], message("passes")).unwrap();
    many.commit_one(0);
    for _ in 0..4 {
        [0, 2].into_iter().for_each(|shard| many.go_on_alone(shard));
    }
    assert_eq!(contents(&mut many, other), ["passes"]);
    assert!(contents(&mut many, stuck).is_empty());
    many.go_on_alone(1);
    assert_eq!(contents(&mut many, stuck), ["stuck"]);
}

#[test]
fn a_message_is_refused_while_too_many_are_in_relay() {
    let (mut many, _) = two();
    for _ in 0..PARCELS_MAX {
        let _ = many.push(&[0, 1], message("to both")).unwrap();
    }
    assert_eq!(many.push(&[0, 1], message("to both")).unwrap_err(), PushRefusal::RelayFull);
    let _ = many.push(&[0], message("to one")).unwrap();
    many.commit();
    let _ = many.push(&[0, 1], message("to both")).unwrap();
}

#[test]
fn a_repeat_of_a_push_to_several_shards_is_answered_when_all_have_it() {
    let mut channels = ["one", "two"].map(channel);
    channels[0].deduplication_window_seconds = 60;
    let (mut many, [first, _]) = two_of(channels);
    let keyed = || Push { key: Some(keys::PushKey { hash: 1, fingerprint: 1 }), ..message("to both") };
    let pushed = many.push(&[0, 1], keyed()).unwrap();
    many.commit_one(first);
    let again = many.push(&[0, 1], keyed()).unwrap();
    assert!(again.replayed && again.id == pushed.id);
    assert!(!is_kept(&pushed.ticket) && !is_kept(&again.ticket), "the other shard does not have it");
    many.commit();
    assert!(is_kept(&pushed.ticket) && is_kept(&again.ticket));
}
