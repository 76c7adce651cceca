//! Each thing that reads a message, and each way in which it cannot: one outcome. A message that cannot be read is set aside, told
//! and counted once, keeps its id, names its place, and keeps nothing else from going on.

use restante_wire::DeadLetterCause::{self, MaxDeliveries, Unreadable};
use uuid::Uuid;

use super::{
    unreadable::{Cold, body, dead, place, reclaim_once},
    *,
};
use crate::{
    channel::{Attempt, Claim, PullForm, Sequence, State},
    core::idempotency::PushKey,
    log::disk::{simulated::Simulated, storage::Storage},
};

/// Enough that the first segments are sealed and have indexes.
const MESSAGES: usize = 20;
/// The one that cannot be read: in the first segment, and no block of the disk holds its head and another message.
const BAD: usize = 1;

/// A way in which a message becomes unreadable, at the place of its content.
type Spoil = fn(&Simulated, &str, usize);

const WAYS: [(&str, Spoil); 4] = [
    ("another byte in its content", |disk, file, at| disk.flip(file, at + 6000)),
    ("another byte in its head", |disk, file, at| disk.flip(file, at - 20)),
    ("an error of the disk in its content", |disk, file, at| disk.break_at(file, at + 6000)),
    ("an error of the disk in its head", |disk, file, at| disk.break_at(file, at - 20)),
];

/// Something that reads messages, and with which cause the message is a dead letter then.
struct Reader {
    name: &'static str,
    read: fn(&mut Bench<Cold>),
    dead: Option<DeadLetterCause>,
}

const READERS: [Reader; 10] = [
    Reader { name: "a pull", read: |bench| drop(pull_all(bench)), dead: Some(Unreadable) },
    Reader { name: "a pull of many", read: pull_many, dead: Some(Unreadable) },
    Reader { name: "a pull that is repeated", read: pull_again, dead: Some(Unreadable) },
    Reader { name: "a look", read: |bench| look_at(bench, State::Ready), dead: Some(Unreadable) },
    Reader { name: "a look at dead letters", read: look_at_dead_letters, dead: Some(Unreadable) },
    Reader { name: "a move to the dead-letter channel", read: give_up, dead: Some(MaxDeliveries) },
    Reader { name: "a redrive to another channel", read: redrive_away, dead: Some(Unreadable) },
    Reader { name: "a return of letters", read: return_letters, dead: Some(Unreadable) },
    Reader { name: "a repeat of its push", read: push_again, dead: None },
    Reader { name: "giving back space", read: give_back, dead: None },
];

/// What was stored, and where the bad message is.
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
    // The thread that writes it is woken by the start that reads all.
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
    number: u32,
    sequence: Sequence,
    handed: Option<Claim>,
    reading: Reading,
) -> ReadBack {
    match reading {
        Reading::Here(recorded) => ReadBack::Whole(recorded),
        Reading::Unreadable(unread) => ReadBack::Unreadable(unread),
        Reading::Coming(mut coming) => {
            let came = wait(|context| Pin::new(&mut coming).poll(context));
            bench.core.came_of(number, sequence, handed, came).unwrap()
        }
    }
}

/// The numbers of all messages that can be had.
fn pull_all(bench: &mut Bench<Cold>) -> Vec<usize> {
    let mut numbers = Vec::new();
    while let Some(Delivery { channel, granted, content, .. }) = bench.pull(0, 60_000) {
        let read = read_back(bench, channel, granted.sequence, Some(granted.claim()), content).whole();
        numbers.extend(read.map(|Recorded { content, .. }| {
            let number = (0..MESSAGES).find(|number| content.body == body(*number));
            number.expect("it is what was pushed")
        }));
    }
    numbers
}

fn pull_many(bench: &mut Bench<Cold>) {
    let asked = Asked { lease: 60_000, attempt: None, answers: Share::unbounded() };
    let number = bench.entries[0].number;
    for Delivery { granted, content, .. } in bench.core.pull_more(number, &asked, 10, u64::MAX).unwrap() {
        read_back(bench, number, granted.sequence, Some(granted.claim()), content);
    }
}

/// Two answers read the same message before either knows that it cannot be read.
fn pull_again(bench: &mut Bench<Cold>) {
    let entry = bench.entries[0].clone();
    let attempt = |id: usize| Some(Attempt { id: id.to_string().into(), form: PullForm::default() });
    for id in 0..4 {
        let asked = Asked { lease: 60_000, attempt: attempt(id), answers: Share::unbounded() };
        let mut given = Vec::new();
        for _ in 0..2 {
            match bench.core.pull(&entry, &asked).unwrap() {
                Delivered::Now(delivery) => given.push((Some(delivery.granted.claim()), delivery)),
                Delivered::Again(deliveries) => {
                    given.extend(deliveries.into_iter().map(|again| (None, again)))
                }
                Delivered::Later(id, _) => bench.core.stop_waiting(entry.number, id),
            }
        }
        for (handed, Delivery { granted, content, .. }) in given {
            read_back(bench, entry.number, granted.sequence, handed, content);
        }
    }
}

/// Looks at all messages of a state, and returns what was met of the bad one.
fn met(bench: &mut Bench<Cold>, state: State) -> Option<Unread> {
    let entry = bench.entries[0].clone();
    let (mut next, mut met) = (0, None);
    while let Look::Seen(seen) = bench.core.look(&entry, state, next, u64::MAX, &Share::unbounded()).unwrap()
    {
        let Seen { sequence, content, .. } = *seen;
        next = sequence + 1;
        if let ReadBack::Unreadable(unread) = read_back(bench, entry.number, sequence, None, content) {
            assert_eq!(sequence, BAD as Sequence);
            met = Some(unread);
        }
    }
    met
}

fn look_at(bench: &mut Bench<Cold>, state: State) {
    met(bench, state);
}

/// Far more often than a disk may have errors before all of it counts as failed.
fn look_at_dead_letters(bench: &mut Bench<Cold>) {
    drop(pull_all(bench));
    (0..40).for_each(|_| look_at(bench, State::Dead));
}

fn give_up(bench: &mut Bench<Cold>) {
    let number = bench.entries[0].number;
    let state = &mut bench.core.channels.get_mut(&number).unwrap();
    state.policy.max_deliveries = 1;
    let claims: Vec<_> =
        std::iter::from_fn(|| bench.pull(0, 60_000)).map(|given| given.granted.claim()).collect();
    for claim in claims {
        let _ = bench.core.release(number, claim, Release { counted: true, delay: None }).unwrap();
    }
    bench.commit();
}

fn redrive_away(bench: &mut Bench<Cold>) {
    drop(pull_all(bench));
    let (entry, to) = (bench.entries[0].clone(), bench.entries[2].clone());
    let number = entry.number;
    let turn = bench.core.redrive(&entry, Some(&to), 0, 10, None).unwrap();
    assert_eq!(turn.moved, 0);
    if let Some(coming) = turn.coming {
        read_back(bench, number, BAD as Sequence, None, Reading::Coming(coming));
    }
}

fn return_letters(bench: &mut Bench<Cold>) {
    let asked =
        Return { lies_in: bench.entries[0].clone(), came_from: None, to: None, until: MESSAGES as u64 };
    let number = asked.lies_in.number;
    let (mut at, mut brought) = (Some(0), None);
    while let Some(from) = at {
        let turn = bench.core.return_letters(&asked, State::Ready, from, 100, brought.take()).unwrap();
        at = turn.next;
        if let (Some(coming), Some(sequence)) = (turn.coming, turn.next) {
            brought = read_back(bench, number, sequence, None, Reading::Coming(coming)).whole();
            at = if brought.is_some() { Some(sequence) } else { Some(sequence + 1) };
        }
    }
}

/// The answer to the same push once more, far more often than a disk may have errors.
fn push_again(bench: &mut Bench<Cold>) {
    for _ in 0..40 {
        assert!(pushed_again(bench, BAD, 7).unwrap().replayed);
    }
    assert_eq!(pushed_again(bench, BAD, 8).unwrap_err(), PushRefusal::KeyMismatch);
}

fn pushed_again(bench: &mut Bench<Cold>, number: usize, fingerprint: u128) -> Result<Pushed, PushRefusal> {
    let mut push = keyed(number);
    push.key.as_mut().unwrap().fingerprint = fingerprint;
    while let Some((position, mut coming)) = bench.core.unread_of(&push).unwrap() {
        let came = wait(|context| Pin::new(&mut coming).poll(context)).unwrap();
        push.recalled.push((position, bench.core.came_of_key(position, came).unwrap()));
    }
    bench.push(&[0], push)
}

fn give_back(bench: &mut Bench<Cold>) {
    let (mut from, mut broken) = (Some(crate::log::Position::START), 0);
    while let Some(at) = from {
        let scanned = wait(|context| bench.core.log.poll_scan(at, None, 64 << 10, context)).unwrap();
        (from, broken) = (scanned.next, broken + scanned.broken.len());
    }
    assert_eq!(broken, 1, "all others can be copied");
    reclaim_once(bench);
}

#[test]
fn whoever_reads_it_first_sets_it_aside_and_it_is_told_and_counted_once() {
    for Reader { name, read, dead: expected } in READERS {
        for (way, spoil) in WAYS {
            let what = format!("{name}, {way}");
            let Stored { mut bench, ids, file, offset } = stored();
            spoil(&bench.place.0, &file, offset);
            read(&mut bench);
            read(&mut bench);
            bench.commit();
            assert!(!bench.core.has_failed(), "{what}");
            let told = dead(&bench);
            let causes: Vec<_> = told.iter().map(|(sequence, cause, _)| (*sequence, *cause)).collect();
            assert_eq!(causes, Vec::from_iter(expected.map(|cause| (BAD as Sequence, cause))), "{what}");
            let count = u64::from(expected.is_some());
            assert_eq!(bench.core.metrics.unreadable.get(), count, "{what}");
            if expected == Some(Unreadable) {
                let reason = &told[0].2;
                assert!(reason.contains(&format!("{file} at offset ")), "{what}: {reason}");
            }
            // Whatever its cause is, a look tells where it lies and which it is.
            if expected.is_some() {
                let Unread { id, why } = met(&mut bench, State::Dead).expect(&what);
                assert_eq!(id, Some(ids[BAD]), "{what}");
                let said: usize =
                    why.split(" at offset ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
                assert!(why.contains(&file) && said < offset && offset - said < 200, "{what}: {why}");
                assert_eq!(bench.core.metrics.unreadable.get(), 1, "{what}");
            }
        }
    }
}

#[test]
fn each_of_its_channels_sets_it_aside_and_a_redrive_that_is_too_early_tells_of_it_again() {
    let mut bench: Bench<Cold> = Bench::new(vec![channel("one"), channel("two")]);
    bench.push(&[0, 1], keyed(0)).unwrap();
    bench.commit();
    let (file, offset) = place(&bench.place.0, 0);
    let mut bench = bench.restart();
    bench.place.0.flip(&file, offset + 6000);
    let counts = |bench: &Bench<Cold>| {
        let metrics = &bench.core.metrics;
        (metrics.unreadable.get(), metrics.dead_lettered.get())
    };
    for (channel, count) in [(0, 1), (1, 2)] {
        let Delivery { channel, granted, content, .. } = bench.pull(channel, 60_000).unwrap();
        read_back(&mut bench, channel, granted.sequence, Some(granted.claim()), content);
        assert_eq!(counts(&bench), (count, count));
    }
    let entry = bench.entries[0].clone();
    assert_eq!(bench.core.redrive(&entry, None, 0, 10, None).unwrap().moved, 1);
    pull_all(&mut bench);
    assert_eq!(counts(&bench), (3, 3));
    assert_eq!(dead(&bench).len(), 1);
}

#[test]
fn all_others_are_delivered_and_a_repeat_of_any_push_has_its_first_answer() {
    for (way, spoil) in WAYS {
        let Stored { mut bench, ids, file, offset } = stored();
        spoil(&bench.place.0, &file, offset);
        for (number, id) in ids.iter().enumerate() {
            let again = pushed_again(&mut bench, number, 7).unwrap();
            assert_eq!((again.id, again.replayed), (*id, true), "{way}");
        }
        let others: Vec<_> = (0..MESSAGES).filter(|number| *number != BAD).collect();
        assert_eq!(pull_all(&mut bench), others, "{way}");
        // It is the same after a start, which tells of it nowhere else.
        bench.commit();
        let mut bench = bench.restart();
        assert_eq!(dead(&bench).len(), 1, "{way}");
        assert_eq!(met(&mut bench, State::Dead).unwrap().id, Some(ids[BAD]), "{way}");
        assert_eq!(bench.core.metrics.unreadable.get(), 0, "{way}: it was told before");
    }
}

#[test]
fn a_repeat_of_a_push_of_which_nothing_can_be_read_is_refused_by_name_and_stores_nothing() {
    for (way, spoil) in &WAYS[1..=3] {
        let Stored { mut bench, file, offset, .. } = stored();
        spoil(&bench.place.0, &file, offset);
        // Neither its frame nor an index tells what it was.
        bench.place.0.remove(&file.replace(".seg", ".idx")).unwrap();
        let again = pushed_again(&mut bench, BAD, 7);
        if *way == WAYS[2].0 {
            assert!(again.unwrap().replayed, "{way}: its head can be read");
        } else {
            assert_eq!(again.unwrap_err(), PushRefusal::KeyUnreadable, "{way}");
        }
        assert!(!pushed_again(&mut bench, MESSAGES, 7).unwrap().replayed);
        assert!(!bench.core.has_failed(), "{way}");
    }
}

#[test]
fn what_was_purged_is_given_back_though_it_cannot_be_read() {
    for (way, spoil) in WAYS {
        let Stored { mut bench, ids, file, offset } = stored();
        spoil(&bench.place.0, &file, offset);
        while let Some(Delivery { channel, granted, content, .. }) = bench.pull(0, 60_000) {
            read_back(&mut bench, channel, granted.sequence, Some(granted.claim()), content);
            let _ = bench.core.settle(channel, granted.claim());
        }
        let entry = bench.entries[0].clone();
        let _ = bench.core.purge(&entry, State::Dead).unwrap();
        bench.commit();
        let before = bench.core.log.stats().segments;
        reclaim_once(&mut bench);
        assert!(!bench.core.has_failed(), "{way}");
        assert!(bench.core.log.stats().segments < before, "{way}: nobody needs it any more");
        let again = pushed_again(&mut bench, BAD, 7).unwrap();
        assert_eq!((again.id, again.replayed), (ids[BAD], true), "{way}: its key is needed longer");
    }
}
