//! Dead letters that move from one shard to another, one of which lags behind when the broker ends.

use crate::shard::tests::{many_shards::Many, relay::two_of, *};

/// The number of messages in each channel, in any state.
fn counts(many: &Many) -> [u64; 2] {
    [0, 1].map(|channel| {
        let number = many.entries[channel].id;
        many.shard(number).facts.channels.get(&number).map_or(0, |channel| channel.state.messages_count())
    })
}

/// Two channels; the first makes a message a dead letter of the second at its first release. One message is leased.
fn gives_up() -> (Many, [usize; 2], Delivery) {
    let mut one = channel("one");
    one.dead_letter.channel = Some("two".into());
    one.delivery.max_deliveries = 1;
    let (mut many, shards) = two_of([one, channel("two")]);
    // Longer than the bodies kept in memory: see [`LIMITS`].
    let pushed = many.push(&[0], message(&"x".repeat(11_000))).unwrap();
    many.commit();
    assert!(is_kept(&pushed.ticket));
    let delivery = many.pull(0, 3_600_000).unwrap();
    (many, shards, delivery)
}

/// Lets everything continue while nothing reaches the disk of one shard.
fn go_on_without(many: &mut Many, [behind, other]: [usize; 2]) {
    for _ in 0..4 {
        many.begin(behind);
        many.run_turn();
        many.begin(other);
    }
}

/// A way to make a message a dead letter.
type GiveUp = fn(&mut Many, Delivery);

const GIVE_UP: [(&str, GiveUp); 3] = [
    ("released", |many, delivery| {
        let release = Release { counted: true, delay: None };
        let _ = many
            .shard(delivery.channel)
            .release(delivery.channel, delivery.granted.claim(), release)
            .unwrap();
    }),
    ("rejected", |many, delivery| {
        let _ =
            many.shard(delivery.channel).reject(delivery.channel, delivery.granted.claim(), None).unwrap();
    }),
    ("moved after its body was read", |many, delivery| {
        many.forget_what_is_read();
        let _ =
            many.shard(delivery.channel).reject(delivery.channel, delivery.granted.claim(), None).unwrap();
    }),
];

#[test]
fn a_power_cut_before_a_move_is_on_disk_leaves_the_dead_letter_in_one_channel() {
    for (way, give_up) in GIVE_UP {
        let (mut many, shards, delivery) = gives_up();
        many.hold_back(shards[0]);
        give_up(&mut many, delivery);
        go_on_without(&mut many, shards);
        let left = many.disks_after_losing(shards[0]);
        many = many.start(left, 2);
        many.commit();
        assert_eq!(counts(&many), [1, 0], "{way}");
    }
}

#[test]
fn a_dead_letter_reaches_another_shard_when_its_move_is_on_disk() {
    for (way, give_up) in GIVE_UP {
        let (mut many, shards, delivery) = gives_up();
        many.hold_back(shards[0]);
        give_up(&mut many, delivery);
        go_on_without(&mut many, shards);
        assert_eq!(counts(&many)[1], 0, "{way}: it is not on disk");
        // Only the move requests a sync.
        many.release(shards[0]);
        (0..8).for_each(|_| many.run_turn());
        assert_eq!(counts(&many), [0, 1], "{way}");
    }
}

#[test]
fn a_power_cut_before_a_redrive_is_on_disk_leaves_the_dead_letter_in_one_channel() {
    let (mut many, shards, delivery) = gives_up();
    GIVE_UP[0].1(&mut many, delivery);
    many.commit();
    assert_eq!(counts(&many), [0, 1]);
    let [home, stored_in] = shards;
    many.hold_back(stored_in);
    let redriven = many.redrive(1, 0);
    go_on_without(&mut many, [stored_in, home]);
    assert!(!is_kept(&redriven), "it is not on disk");
    assert_eq!(counts(&many), [0, 0], "it is in relay");
    let left = many.disks_after_losing(stored_in);
    many = many.start(left, 2);
    many.commit();
    assert_eq!(counts(&many), [0, 1]);
}

#[test]
fn the_settle_of_a_moved_dead_letter_is_answered_when_the_move_is_on_disk() {
    let mut one = channel("one");
    one.dead_letter.channel = Some("two".into());
    one.delivery.max_deliveries = 1;
    let mut many = Many::new(vec![one, channel("two")], 1);
    let _ = many.push(&[0], message("letter")).unwrap();
    many.commit();
    let delivery = many.pull(0, 3_600_000).unwrap();
    many.hold_back(0);
    // It becomes a dead letter, and no answer waits for that sync.
    let (number, claim) = (delivery.channel, delivery.granted.claim());
    let release = Release { counted: true, delay: None };
    let released = many.shard(number).release(number, claim, release).unwrap();
    many.begin(0);
    assert!(is_kept(&released));
    let settled = many.shard(number).settle(number, claim).unwrap();
    many.begin(0);
    assert!(!is_kept(&settled), "a power cut would bring it back");
    many.release(0);
    assert!(is_kept(&settled));
    let left = many.disks_after_losing(0);
    many = many.start(left, 1);
    assert_eq!(counts(&many), [0, 1]);
}

/// Deletes a channel. Returns the number of messages that went, or that prevent it.
fn close(many: &Many, channel: usize, force: bool) -> Result<u64, u64> {
    let entry = many.entries[channel].clone();
    let closed = many.shard(entry.id).close(&entry, force).unwrap();
    closed.map(|(messages, _)| messages)
}

#[test]
fn a_channel_is_not_deleted_as_empty_while_a_dead_letter_is_in_relay_to_it() {
    let (mut many, shards, delivery) = gives_up();
    many.hold_back(shards[0]);
    GIVE_UP[0].1(&mut many, delivery);
    go_on_without(&mut many, shards);
    assert_eq!(close(&many, 1, false), Err(1), "it is not on disk");
    many.release(shards[0]);
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    assert_eq!(close(&many, 1, false), Err(1), "after a start");
    many.commit();
    assert_eq!(counts(&many), [0, 1]);
    many.pull(1, 3_600_000).unwrap();
    assert_eq!(close(&many, 1, false), Err(1), "it has arrived");
    assert_eq!(close(&many, 1, true), Ok(1));
}

#[test]
fn a_dead_letter_is_not_relayed_to_a_channel_that_is_being_deleted() {
    let (mut many, _, delivery) = gives_up();
    assert_eq!(close(&many, 1, false), Ok(0));
    GIVE_UP[0].1(&mut many, delivery);
    many.commit();
    assert_eq!(counts(&many), [1, 0]);
    let _ = many.shard(many.entries[0].id).redrive(&many.entries[0], Some(&many.entries[1]), 0, 1, None);
    many.commit();
    assert_eq!(counts(&many), [1, 0]);
    // Nor after a start, while the address store still has it.
    let left = many.disks_after_end(None);
    many = many.start(left, 2);
    let _ = many.shard(many.entries[0].id).redrive(&many.entries[0], Some(&many.entries[1]), 0, 1, None);
    many.commit();
    assert_eq!(counts(&many), [1, 0]);
}

#[test]
fn dead_letters_in_relay_count_against_the_limits_of_their_target() {
    let [mut one, mut two] = ["one", "two"].map(channel);
    one.dead_letter.channel = Some("two".into());
    two.limits.messages = 2;
    let (mut many, _) = two_of([one, two]);
    for _ in 0..5 {
        let _ = many.push(&[0], message("letter")).unwrap();
        let delivery = many.pull(0, 3_600_000).unwrap();
        GIVE_UP[1].1(&mut many, delivery);
    }
    many.commit();
    assert_eq!(counts(&many), [3, 2]);
}
