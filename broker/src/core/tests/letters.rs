//! Dead letters that go from one core to another, of which one or the other is behind when the broker ends.

use super::{apart::two_of, many::Many, *};

/// How many messages are in each channel, whoever has them.
fn counts(many: &Many) -> [u64; 2] {
    [0, 1].map(|channel| {
        let number = many.entries[channel].number;
        many.core(number).channels.get(&number).map_or(0, |channel| channel.state.messages_count())
    })
}

/// Two channels, the first of which gives a message up to the second when it is released once; and somebody has one.
fn gives_up() -> (Many, [usize; 2], Delivery) {
    let mut one = channel("one");
    one.dead_letter.channel = Some("two".into());
    one.delivery.max_deliveries = 1;
    let (mut many, cores) = two_of([one, channel("two")]);
    // More than stays in memory: see [`start`].
    let pushed = many.push(&[0], message(&"x".repeat(11_000))).unwrap();
    many.commit();
    assert!(is_kept(&pushed.ticket));
    let delivery = many.pull(0, 3_600_000).unwrap();
    (many, cores, delivery)
}

/// All goes on that can go on while nothing comes to the disk of one core.
fn go_on_without(many: &mut Many, [behind, other]: [usize; 2]) {
    for _ in 0..4 {
        many.begin(behind);
        many.go_on();
        many.begin(other);
    }
}

/// How a message is given up.
type GiveUp = fn(&mut Many, Delivery);

const GIVE_UP: [(&str, GiveUp); 3] = [
    ("released", |many, delivery| {
        let release = Release { counted: true, delay: None };
        let _ =
            many.core(delivery.channel).release(delivery.channel, delivery.granted.claim(), release).unwrap();
    }),
    ("rejected", |many, delivery| {
        let _ = many.core(delivery.channel).reject(delivery.channel, delivery.granted.claim(), None).unwrap();
    }),
    ("moved when its content had come", |many, delivery| {
        many.forget_what_is_read();
        let _ = many.core(delivery.channel).reject(delivery.channel, delivery.granted.claim(), None).unwrap();
    }),
];

#[test]
fn a_dead_letter_is_in_one_channel_when_the_power_goes_before_its_move_is_on_disk() {
    for (way, give_up) in GIVE_UP {
        let (mut many, cores, delivery) = gives_up();
        many.hold_back(cores[0]);
        give_up(&mut many, delivery);
        go_on_without(&mut many, cores);
        let left = many.left_without(cores[0]);
        many = many.start(left, 2);
        many.commit();
        assert_eq!(counts(&many), [1, 0], "{way}");
    }
}

#[test]
fn a_dead_letter_goes_to_another_core_when_its_move_is_on_disk() {
    for (way, give_up) in GIVE_UP {
        let (mut many, cores, delivery) = gives_up();
        many.hold_back(cores[0]);
        give_up(&mut many, delivery);
        go_on_without(&mut many, cores);
        assert_eq!(counts(&many)[1], 0, "{way}: it is not on disk");
        // Nobody asks for a sync but the letter.
        many.let_go(cores[0]);
        (0..8).for_each(|_| many.go_on());
        assert_eq!(counts(&many), [0, 1], "{way}");
    }
}

#[test]
fn a_redriven_letter_is_in_one_channel_when_the_power_goes_before_its_move_is_on_disk() {
    let (mut many, cores, delivery) = gives_up();
    GIVE_UP[0].1(&mut many, delivery);
    many.commit();
    assert_eq!(counts(&many), [0, 1]);
    let [home, lies_in] = cores;
    many.hold_back(lies_in);
    let redriven = many.redrive(1, 0);
    go_on_without(&mut many, [lies_in, home]);
    assert!(!is_kept(&redriven), "it is not on disk");
    assert_eq!(counts(&many), [0, 0], "it is on its way");
    let left = many.left_without(lies_in);
    many = many.start(left, 2);
    many.commit();
    assert_eq!(counts(&many), [0, 1]);
}

#[test]
fn who_settles_what_has_left_before_is_told_when_that_is_on_disk() {
    let mut one = channel("one");
    one.dead_letter.channel = Some("two".into());
    one.delivery.max_deliveries = 1;
    let mut many = Many::new(vec![one, channel("two")], 1);
    let _ = many.push(&[0], message("letter")).unwrap();
    many.commit();
    let delivery = many.pull(0, 3_600_000).unwrap();
    many.hold_back(0);
    // It is given up, and for that nobody waits for a sync.
    let (number, claim) = (delivery.channel, delivery.granted.claim());
    let release = Release { counted: true, delay: None };
    let released = many.core(number).release(number, claim, release).unwrap();
    many.begin(0);
    assert!(is_kept(&released));
    let settled = many.core(number).settle(number, claim).unwrap();
    many.begin(0);
    assert!(!is_kept(&settled), "a power cut would bring it back");
    many.let_go(0);
    assert!(is_kept(&settled));
    let left = many.left_without(0);
    many = many.start(left, 1);
    assert_eq!(counts(&many), [0, 1]);
}

/// Deletes a channel: how many messages went with it, or stand in the way.
fn close(many: &Many, channel: usize, force: bool) -> Result<u64, u64> {
    let entry = many.entries[channel].clone();
    let closed = many.core(entry.number).close(&entry, force).unwrap();
    closed.map(|(messages, _)| messages)
}

#[test]
fn a_channel_is_not_deleted_as_empty_while_a_letter_is_on_its_way_to_it() {
    let (mut many, cores, delivery) = gives_up();
    many.hold_back(cores[0]);
    GIVE_UP[0].1(&mut many, delivery);
    go_on_without(&mut many, cores);
    assert_eq!(close(&many, 1, false), Err(1), "it is not on disk");
    many.let_go(cores[0]);
    let left = many.left(None);
    many = many.start(left, 2);
    assert_eq!(close(&many, 1, false), Err(1), "after a start");
    many.commit();
    assert_eq!(counts(&many), [0, 1]);
    many.pull(1, 3_600_000).unwrap();
    assert_eq!(close(&many, 1, false), Err(1), "it is there");
    assert_eq!(close(&many, 1, true), Ok(1));
}

#[test]
fn a_letter_does_not_leave_for_a_channel_whose_deletion_has_begun() {
    let (mut many, _, delivery) = gives_up();
    assert_eq!(close(&many, 1, false), Ok(0));
    GIVE_UP[0].1(&mut many, delivery);
    many.commit();
    assert_eq!(counts(&many), [1, 0]);
    let _ = many.core(many.entries[0].number).redrive(&many.entries[0], Some(&many.entries[1]), 0, 1, None);
    many.commit();
    assert_eq!(counts(&many), [1, 0]);
    // Nor after a start, while the address store still has it.
    let left = many.left(None);
    many = many.start(left, 2);
    let _ = many.core(many.entries[0].number).redrive(&many.entries[0], Some(&many.entries[1]), 0, 1, None);
    many.commit();
    assert_eq!(counts(&many), [1, 0]);
}

#[test]
fn letters_on_their_way_take_room_in_the_channel_that_they_go_to() {
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
