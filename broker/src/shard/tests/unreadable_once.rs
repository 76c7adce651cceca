//! All readers of a message, with all ways to make it unreadable, have one outcome: the message becomes a dead letter,
//! is reported and counted once, keeps its id, names its position, and delays nothing else.

use restante_wire::DeadLetterCause::{self, MaxDeliveries, Unreadable};
use uuid::Uuid;

use crate::shard::tests::{
    unreadable::{Cold, body, dead, place, reclaim_once},
    *,
};
use crate::{
    channel::{Attempt, Claim, PullForm, Sequence, State},
    log::{
        ChannelId,
        disk::{simulated::Simulated, storage::Storage},
    },
    shard::keys::PushKey,
};

/// Enough for sealed segments with indexes.
const MESSAGES: usize = 20;
/// The unreadable message: in the first segment, and in no block of the disk together with another message's head.
const BAD: usize = 1;

/// A way to make a message unreadable, at the position of its body.
type Spoil = fn(&Simulated, &str, usize);

const WAYS: [(&str, Spoil); 4] = [
    ("a flipped bit in its body", |disk, file, at| disk.flip(file, at + 6000)),
    ("a flipped bit in its head", |disk, file, at| disk.flip(file, at - 20)),
    ("a disk error in its body", |disk, file, at| disk.break_at(file, at + 6000)),
    ("a disk error in its head", |disk, file, at| disk.break_at(file, at - 20)),
];

/// An operation that reads messages, and the resulting cause of the dead letter.
struct Reader {
    name: &'static str,
    read: fn(&mut Bench<Cold>),
    dead: Option<DeadLetterCause>,
}

const READERS: [Reader; 10] = [
    Reader { name: "a pull", read: |bench| drop(pull_all(bench)), dead: Some(Unreadable) },
    Reader { name: "a pull of many", read: pull_many, dead: Some(Unreadable) },
    Reader { name: "a pull that is repeated", read: pull_again, dead: Some(Unreadable) },
    Reader { name: "a peek", read: |bench| peek(bench, State::Ready), dead: Some(Unreadable) },
    Reader { name: "a peek at dead letters", read: peek_at_dead_letters, dead: Some(Unreadable) },
    Reader {
        name: "a move to the dead-letter channel",
        read: reach_delivery_limit,
        dead: Some(MaxDeliveries),
    },
    Reader { name: "a redrive to another channel", read: redrive_away, dead: Some(Unreadable) },
    Reader { name: "a return of dead letters", read: return_dead_letters, dead: Some(Unreadable) },
    Reader { name: "a repeat of its push", read: push_again, dead: None },
    Reader { name: "reclaiming space", read: give_back, dead: None },
];

/// The stored messages, and the position of the bad one.
struct Stored {
    bench: Bench<Cold>,
    ids: Vec<Uuid>,
    file: String,
    offset: usize,
}

/// Messages with keys, none in memory; the first channel's dead letters go to the second.
fn stored() -> Stored {
    let mut one = channel("one");
    one.dead_letter.channel = Some("two".into());
    one.deduplication_window_seconds = 600;
    let mut bench: Bench<Cold> = Bench::new(vec![one, channel("two"), channel("three")]);
    let ids = (0..MESSAGES).map(|number| {
        let pushed = bench.push(&[0], keyed(number)).unwrap();
        bench.commit();
        pushed.id
    });
    let ids = ids.collect();
    let (file, offset) = place(&bench.place.0, BAD);
    let index = file.replace(".seg", ".idx");
    // A start that replays everything wakes the thread that writes the index.
    let bench = bench.restart();
    while !bench.place.0.list().unwrap().contains(&index) {
        std::thread::yield_now();
    }
    Stored { bench: bench.restart(), ids, file, offset }
}

fn keyed(number: usize) -> Push {
    Push { key: Some(PushKey { hash: 1 << 40 | number as u128, fingerprint: 7 }), ..message(&body(number)) }
}

fn read_back(
    bench: &mut Bench<Cold>,
    number: ChannelId,
    sequence: Sequence,
    claim: Option<Claim>,
    reading: Reading,
) -> ReadBack {
    match reading {
        Reading::Here(recorded) => ReadBack::Whole(recorded),
        Reading::Unreadable(unread) => ReadBack::Unreadable(unread),
        Reading::Coming(mut coming) => {
            let came = wait(|context| Pin::new(&mut coming).poll(context));
            bench.shard.finish_read(number, sequence, claim, came).unwrap()
        }
    }
}

/// The numbers of all readable messages.
fn pull_all(bench: &mut Bench<Cold>) -> Vec<usize> {
    let mut numbers = Vec::new();
    while let Some(Delivery { channel, granted, content, .. }) = bench.pull(0, 60_000) {
        let read = read_back(bench, channel, granted.sequence, Some(granted.claim()), content).readable();
        numbers.extend(read.map(|StoredMessage { content, .. }| {
            let number = (0..MESSAGES).find(|number| content.body == body(*number));
            number.expect("the body was pushed")
        }));
    }
    numbers
}

fn pull_many(bench: &mut Bench<Cold>) {
    let request = Pull { lease: 60_000, attempt: None, answers: Share::unbounded() };
    let number = bench.entries[0].id;
    for Delivery { granted, content, .. } in bench.shard.pull_more(number, &request, 10, u64::MAX).unwrap() {
        read_back(bench, number, granted.sequence, Some(granted.claim()), content);
    }
}

/// Two answers read the same message before either knows that it is unreadable.
fn pull_again(bench: &mut Bench<Cold>) {
    let entry = bench.entries[0].clone();
    let attempt = |id: usize| Some(Attempt { id: id.to_string().into(), form: PullForm::default() });
    for id in 0..4 {
        let request = Pull { lease: 60_000, attempt: attempt(id), answers: Share::unbounded() };
        let mut leased = Vec::new();
        for _ in 0..2 {
            match bench.shard.pull(&entry, &request).unwrap() {
                PullOutcome::Delivered(delivery) => leased.push((Some(delivery.granted.claim()), delivery)),
                PullOutcome::Repeated(deliveries) => {
                    leased.extend(deliveries.into_iter().map(|again| (None, again)))
                }
                PullOutcome::Waiting(id, _) => bench.shard.stop_waiting(entry.id, id),
            }
        }
        for (claim, Delivery { granted, content, .. }) in leased {
            read_back(bench, entry.id, granted.sequence, claim, content);
        }
    }
}

/// Peeks at all messages of a state. Returns the unreadable one.
fn met(bench: &mut Bench<Cold>, state: State) -> Option<UnreadableMessage> {
    let entry = bench.entries[0].clone();
    let (mut next, mut met) = (0, None);
    while let PeekOutcome::Message(seen) =
        bench.shard.peek(&entry, state, next, u64::MAX, &Share::unbounded()).unwrap()
    {
        let PeekedMessage { sequence, content, .. } = *seen;
        next = sequence + 1;
        if let ReadBack::Unreadable(unread) = read_back(bench, entry.id, sequence, None, content) {
            assert_eq!(sequence, BAD as Sequence);
            met = Some(unread);
        }
    }
    met
}

fn peek(bench: &mut Bench<Cold>, state: State) {
    met(bench, state);
}

/// More times than a disk may have errors before it counts as failed.
fn peek_at_dead_letters(bench: &mut Bench<Cold>) {
    drop(pull_all(bench));
    (0..40).for_each(|_| peek(bench, State::Dead));
}

fn reach_delivery_limit(bench: &mut Bench<Cold>) {
    let number = bench.entries[0].id;
    let state = &mut bench.shard.facts.channels.get_mut(&number).unwrap();
    state.live.policy.max_deliveries = 1;
    let claims: Vec<_> =
        std::iter::from_fn(|| bench.pull(0, 60_000)).map(|leased| leased.granted.claim()).collect();
    for claim in claims {
        let _ = bench.shard.release(number, claim, Release { counted: true, delay: None }).unwrap();
    }
    bench.commit();
}

fn redrive_away(bench: &mut Bench<Cold>) {
    drop(pull_all(bench));
    let (entry, to) = (bench.entries[0].clone(), bench.entries[2].clone());
    let number = entry.id;
    let turn = bench.shard.redrive(&entry, Some(&to), 0, 10, None).unwrap();
    assert_eq!(turn.moved, 0);
    if let Some(coming) = turn.coming {
        read_back(bench, number, BAD as Sequence, None, Reading::Coming(coming));
    }
}

fn return_dead_letters(bench: &mut Bench<Cold>) {
    let request = ReturnRequest {
        stored_in: bench.entries[0].clone(),
        came_from: None,
        to: None,
        until: MESSAGES as u64,
    };
    let number = request.stored_in.id;
    let (mut at, mut brought) = (Some(0), None);
    while let Some(from) = at {
        let turn =
            bench.shard.return_dead_letters(&request, State::Ready, from, 100, brought.take()).unwrap();
        at = turn.next;
        if let (Some(coming), Some(sequence)) = (turn.coming, turn.next) {
            brought = read_back(bench, number, sequence, None, Reading::Coming(coming)).readable();
            at = if brought.is_some() { Some(sequence) } else { Some(sequence + 1) };
        }
    }
}

/// Repeats the same push more times than a disk may have errors.
fn push_again(bench: &mut Bench<Cold>) {
    for _ in 0..40 {
        assert!(pushed_again(bench, BAD, 7).unwrap().replayed);
    }
    assert_eq!(pushed_again(bench, BAD, 8).unwrap_err(), PushRefusal::KeyMismatch);
}

fn pushed_again(bench: &mut Bench<Cold>, number: usize, fingerprint: u128) -> Result<Pushed, PushRefusal> {
    let mut push = keyed(number);
    push.key.as_mut().unwrap().fingerprint = fingerprint;
    bench.push(&[0], push)
}

fn give_back(bench: &mut Bench<Cold>) {
    let (mut from, mut broken) = (Some(crate::log::Position::START), 0);
    while let Some(at) = from {
        let scanned = wait(|context| bench.shard.ledger.log.poll_scan(at, None, 64 << 10, context)).unwrap();
        (from, broken) = (scanned.next, broken + scanned.broken.len());
    }
    assert_eq!(broken, 1, "all others are copied");
    reclaim_once(bench);
}

#[test]
fn two_reads_of_an_unreadable_message_make_and_count_at_most_one_dead_letter() {
    for Reader { name, read, dead: expected } in READERS {
        for (way, spoil) in WAYS {
            let what = format!("{name}, {way}");
            let Stored { mut bench, ids, file, offset } = stored();
            spoil(&bench.place.0, &file, offset);
            read(&mut bench);
            read(&mut bench);
            bench.commit();
            assert!(!bench.shard.has_failed(), "{what}");
            let dead_letters = dead(&bench);
            let causes: Vec<_> =
                dead_letters.iter().map(|(sequence, cause, _)| (*sequence, *cause)).collect();
            assert_eq!(causes, Vec::from_iter(expected.map(|cause| (BAD as Sequence, cause))), "{what}");
            let count = u64::from(expected.is_some());
            assert_eq!(bench.shard.metrics.unreadable.get(), count, "{what}");
            if expected == Some(Unreadable) {
                let reason = &dead_letters[0].2;
                assert!(reason.contains(&format!("{file} at offset ")), "{what}: {reason}");
            }
            // A peek shows its position and its id, whatever its cause is.
            if expected.is_some() {
                let UnreadableMessage { id, why } = met(&mut bench, State::Dead).expect(&what);
                assert_eq!(id, Some(ids[BAD]), "{what}");
                let shown: usize =
                    why.split(" at offset ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
                assert!(why.contains(&file) && shown < offset && offset - shown < 200, "{what}: {why}");
                assert_eq!(bench.shard.metrics.unreadable.get(), 1, "{what}");
            }
        }
    }
}

#[test]
fn an_unreadable_message_becomes_a_dead_letter_in_each_channel_and_again_after_a_redrive() {
    let mut bench: Bench<Cold> = Bench::new(vec![channel("one"), channel("two")]);
    bench.push(&[0, 1], keyed(0)).unwrap();
    bench.commit();
    let (file, offset) = place(&bench.place.0, 0);
    let mut bench = bench.restart();
    bench.place.0.flip(&file, offset + 6000);
    let counts = |bench: &Bench<Cold>| {
        let metrics = &bench.shard.metrics;
        (metrics.unreadable.get(), metrics.dead_lettered.get())
    };
    for (channel, count) in [(0, 1), (1, 2)] {
        let Delivery { channel, granted, content, .. } = bench.pull(channel, 60_000).unwrap();
        read_back(&mut bench, channel, granted.sequence, Some(granted.claim()), content);
        assert_eq!(counts(&bench), (count, count));
    }
    let entry = bench.entries[0].clone();
    assert_eq!(bench.shard.redrive(&entry, None, 0, 10, None).unwrap().moved, 1);
    pull_all(&mut bench);
    assert_eq!(counts(&bench), (3, 3));
    assert_eq!(dead(&bench).len(), 1);
}

#[test]
fn readable_messages_are_delivered_and_a_repeat_of_any_push_gets_its_first_answer() {
    for (way, spoil) in WAYS {
        let Stored { mut bench, ids, file, offset } = stored();
        spoil(&bench.place.0, &file, offset);
        for (number, id) in ids.iter().enumerate() {
            let again = pushed_again(&mut bench, number, 7).unwrap();
            assert_eq!((again.id, again.replayed), (*id, true), "{way}");
        }
        let others: Vec<_> = (0..MESSAGES).filter(|number| *number != BAD).collect();
        assert_eq!(pull_all(&mut bench), others, "{way}");
        // The same holds after a start, which does not report it elsewhere.
        bench.commit();
        let mut bench = bench.restart();
        assert_eq!(dead(&bench).len(), 1, "{way}");
        assert_eq!(met(&mut bench, State::Dead).unwrap().id, Some(ids[BAD]), "{way}");
        assert_eq!(bench.shard.metrics.unreadable.get(), 0, "{way}: it was reported before");
    }
}

#[test]
fn a_repeat_of_an_unreadable_push_is_refused_and_stores_nothing() {
    for (way, spoil) in &WAYS[1..=3] {
        let Stored { mut bench, file, offset, .. } = stored();
        spoil(&bench.place.0, &file, offset);
        // Neither its frame nor an index has its head.
        bench.place.0.remove(&file.replace(".seg", ".idx")).unwrap();
        let again = pushed_again(&mut bench, BAD, 7);
        if *way == WAYS[2].0 {
            assert!(again.unwrap().replayed, "{way}: its head is readable");
        } else {
            assert_eq!(again.unwrap_err(), PushRefusal::KeyUnreadable, "{way}");
        }
        assert!(!pushed_again(&mut bench, MESSAGES, 7).unwrap().replayed);
        assert!(!bench.shard.has_failed(), "{way}");
    }
}

#[test]
fn a_purged_unreadable_message_is_reclaimed() {
    for (way, spoil) in WAYS {
        let Stored { mut bench, ids, file, offset } = stored();
        spoil(&bench.place.0, &file, offset);
        while let Some(Delivery { channel, granted, content, .. }) = bench.pull(0, 60_000) {
            read_back(&mut bench, channel, granted.sequence, Some(granted.claim()), content);
            let _ = bench.shard.settle(channel, granted.claim());
        }
        let entry = bench.entries[0].clone();
        let _ = bench.shard.purge(&entry, State::Dead).unwrap();
        bench.commit();
        let before = bench.shard.ledger.log.stats().segments;
        reclaim_once(&mut bench);
        assert!(!bench.shard.has_failed(), "{way}");
        assert!(bench.shard.ledger.log.stats().segments < before, "{way}: it is not needed any more");
        let again = pushed_again(&mut bench, BAD, 7).unwrap();
        assert_eq!((again.id, again.replayed), (ids[BAD], true), "{way}: its key is needed longer");
    }
}
