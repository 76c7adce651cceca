//! The promises of a log, one function each.

use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Context, Waker},
};

use proptest::prelude::*;

use super::{BlockingLog, Subject, owner::Owner};
use crate::log::{
    BatchNumber, ChannelId, EncodedTarget, Log, LogError, Position, Purpose, Record, Scanned, Sync,
};

fn opened<S: Subject>() -> (S, Owner<S::Log>) {
    let mut subject = S::default();
    let log = subject.open();
    (subject, Owner::new(log))
}

fn reopened<S: Subject>(subject: &mut S, owner: Owner<S::Log>) -> Owner<S::Log> {
    drop(owner);
    Owner::new(subject.open())
}

pub(crate) fn a_record_is_readable_before_during_and_after_its_commit<S: Subject>() {
    let (mut subject, mut owner) = opened::<S>();
    for _ in 0..20 {
        owner.push().unwrap();
        owner.check();
    }
    let number = owner.begin();
    owner.check();
    owner.push().unwrap();
    owner.check();
    assert_eq!(owner.next_outcome().0, number);
    owner.check();
    owner.commit();
    let mut owner = reopened(&mut subject, owner);
    assert_eq!(owner.messages.len(), 21);
    owner.check();
}

pub(crate) fn every_batch_has_one_outcome_and_the_next_owner_replays_them_in_order<S: Subject>() {
    let (mut subject, mut owner) = opened::<S>();
    let (mut begun, mut outcomes) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        for _ in 0..3 {
            owner.push().unwrap();
        }
        outcomes.extend(owner.make_way());
        begun.push(owner.begin());
    }
    assert!(begun.is_sorted());
    while outcomes.len() < begun.len() {
        outcomes.push(owner.next_outcome());
    }
    let numbers: BTreeSet<_> = outcomes.iter().map(|(number, _)| *number).collect();
    assert!(numbers.iter().eq(begun.iter()), "{outcomes:?}");
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    assert!(owner.log.poll_commit(&mut Context::from_waker(Waker::noop())).is_pending());
    let owner = reopened(&mut subject, owner);
    assert!(owner.messages.keys().copied().eq(1..=150));
    assert!(owner.messages.values().is_sorted());
}

pub(crate) fn uncommitted_records_are_not_replayed<S: Subject>() {
    let (mut subject, mut owner) = opened::<S>();
    owner.push().unwrap();
    owner.commit();
    owner.push().unwrap();
    let owner = reopened(&mut subject, owner);
    assert!(owner.messages.keys().eq([&1]));
}

pub(crate) fn a_scan_continues_where_it_stopped<S: Subject>() {
    let (mut subject, mut owner) = opened::<S>();
    for _ in 0..60 {
        owner.push().unwrap();
        owner.push().unwrap();
        owner.commit();
    }
    drop(owner);
    let mut log = subject.open();
    let mut replayed = Vec::new();
    log.replayed(|position, _| replayed.push(position)).unwrap();
    let whole = log.scanned(Position::START, None).unwrap();
    assert_eq!(whole.len(), 120);
    let (mut parts, mut from) = (Vec::new(), Some(Position::START));
    let mut begins = Vec::new();
    while let Some(position) = from {
        begins.push(position);
        let Scanned { records, next, .. } = log.part(position, None, 1).unwrap();
        assert!(records.iter().all(|(at, _)| *at >= position));
        parts.extend(records);
        from = next;
    }
    assert!(begins.len() > 50, "parts are small");
    assert_eq!(parts, whole);
    let (third, last) = (begins[begins.len() / 3], begins[begins.len() - 2]);
    let between = log.scanned(third, Some(last)).unwrap();
    let expected = whole.iter().filter(|(at, _)| (third..last).contains(at));
    assert!(between.iter().eq(expected));
    // A scan returns the same records as the replay, and does not count them as needed.
    assert!(replayed.iter().eq(whole.iter().map(|(at, _)| at)));
    let bytes: u64 = whole.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    assert_eq!(log.stats().live_bytes, bytes);
    assert_eq!(log.replayed(|position, _| panic!("{position:?} was replayed already")).ok(), Some(()));
}

pub(crate) fn freed_records_are_gone_and_copied_ones_stay<S: Subject>() {
    let (mut subject, mut owner) = opened::<S>();
    let mut freed = 0;
    for round in 0..400 {
        let sequence = owner.push().unwrap();
        if round % 50 != 0 {
            owner.settle(sequence).unwrap();
        }
        owner.commit();
        let before = owner.log.stats().segments;
        owner.reclaim();
        owner.check();
        freed += before.saturating_sub(owner.log.stats().segments);
    }
    assert!(freed > 3, "{freed} freed");
    let first = owner.log.scanned(Position::START, None).unwrap().len();
    assert!(first < 400, "{first} records are left");
    let messages: Vec<u64> = owner.messages.keys().copied().collect();
    let mut owner = reopened(&mut subject, owner);
    assert!(owner.messages.keys().eq(messages.iter()));
    owner.check();
}

pub(crate) fn a_part_is_freed_as_a_whole<S: Subject>() {
    let (_subject, mut owner) = opened::<S>();
    // The records of each part. None of them was copied.
    let mut parts: BTreeMap<u64, Vec<Position>> = BTreeMap::new();
    let mut freed = 0;
    for _ in 0..400 {
        let before = owner.log.current_part();
        let sequence = owner.push().unwrap();
        if owner.log.current_part() == before {
            let at = owner.messages[&sequence];
            assert_eq!(S::Log::part_of(at), before);
            parts.entry(before).or_default().push(at);
        }
        owner.settle(sequence).unwrap();
        owner.commit();
        owner.reclaim();
        let there: BTreeSet<_> =
            owner.log.scanned(Position::START, None).unwrap().into_iter().map(|(at, _)| at).collect();
        for of_part in parts.values() {
            let left = of_part.iter().filter(|at| there.contains(at)).count();
            assert!(left == 0 || left == of_part.len(), "{left} of {}", of_part.len());
        }
        let all = parts.len();
        parts.retain(|_, of_part| there.contains(&of_part[0]));
        freed += all - parts.len();
    }
    assert!(freed > 3, "{freed} parts were freed");
}

pub(crate) fn a_superseded_owner_commits_nothing<S: Subject>() {
    let (mut subject, mut first) = opened::<S>();
    first.push().unwrap();
    first.commit();
    let Some(log) = subject.open_beside() else { return };
    let mut second = Owner::new(log);
    first.push().unwrap();
    first.push().unwrap();
    first.begin();
    assert!(matches!(first.next_outcome().1, Err(LogError::Fenced)));
    assert!(first.push().is_err());
    second.push().unwrap();
    second.commit();
    drop(first);
    let mut owner = reopened(&mut subject, second);
    assert!(owner.messages.keys().copied().eq([1, 2]));
    owner.check();
}

/// The number of batches that ended as fenced.
#[derive(Debug, Default)]
pub(super) struct FencedBatches {
    pub(super) in_log: usize,
    pub(super) lost: usize,
}

/// Supersedes owners that have batches in flight, some of which have arrived. Nothing if an owner cannot be superseded.
pub(super) fn supersede_with_batches_in_flight<S: Subject>() -> Option<FencedBatches> {
    let (mut subject, mut first) = opened::<S>();
    let mut fenced = FencedBatches::default();
    for polls in 0..100 {
        let mut in_flight = Vec::new();
        while first.log.takes_batch() {
            let sequence = first.push().unwrap();
            in_flight.push((first.begin(), sequence));
        }
        let mut committed: BTreeSet<_> = (0..polls).filter_map(|_| first.poll_outcome()).map(told).collect();
        let mut second = Owner::new(subject.open_beside()?);
        let inherited: BTreeSet<u64> = second.messages.keys().copied().collect();
        while first.has_batches_in_flight() {
            match first.next_outcome() {
                (_, Err(LogError::Fenced)) => {}
                outcome => drop(committed.insert(told(outcome))),
            }
        }
        let is_there = |(_, sequence): &(_, u64)| inherited.contains(sequence);
        assert!(in_flight.is_sorted_by_key(|batch| !is_there(batch)), "a batch is missing between others");
        for batch in &in_flight {
            match (committed.contains(&batch.0), is_there(batch)) {
                (true, is_there) => assert!(is_there, "a committed batch is lost"),
                (false, true) => fenced.in_log += 1,
                (false, false) => fenced.lost += 1,
            }
        }
        let pushed = second.push().unwrap();
        second.commit();
        drop(first);
        first = reopened(&mut subject, second);
        let expected: BTreeSet<u64> = inherited.into_iter().chain([pushed]).collect();
        assert!(first.messages.keys().eq(&expected), "a batch came after the next owner");
        first.check();
    }
    Some(fenced)
}

/// The number of a committed batch.
fn told((number, outcome): (BatchNumber, Result<(), LogError>)) -> BatchNumber {
    outcome.unwrap();
    number
}

pub(crate) fn a_superseded_owner_loses_nothing_committed_and_adds_nothing<S: Subject>() {
    let _ = supersede_with_batches_in_flight::<S>();
}

pub(crate) fn a_message_of_16_mib_is_read_and_replayed<S: Subject>() {
    let mut subject = S::for_long_records();
    let body: Vec<u8> = (0..16 << 20).map(|byte: u32| (byte % 251) as u8).collect();
    let target = EncodedTarget::of(ChannelId(1), 1);
    let message = target.message(&body);
    let mut log = subject.open();
    let position = log.append(&message, Purpose::Store).unwrap();
    let is_whole = |bytes: &[u8]| Record::decode(bytes).unwrap() == message;
    assert!(is_whole(&log.fetched(position).unwrap()), "in the open batch");
    log.committed(Sync::Now).unwrap();
    assert!(is_whole(&log.fetched(position).unwrap()), "committed");
    drop(log);
    let mut log = subject.open();
    let mut found = Vec::new();
    log.replayed(|position, head| found.push((position, head.content_bytes))).unwrap();
    let [(position, bytes)] = found[..] else { panic!("{found:?}") };
    assert_eq!(bytes, body.len());
    assert!(is_whole(&log.fetched(position).unwrap()), "replayed");
}

pub(crate) fn after_a_failed_batch_nothing_is_committed<S: Subject>() {
    let (mut subject, mut owner) = opened::<S>();
    owner.push().unwrap();
    owner.commit();
    subject.fail();
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        // Several batches are already in flight when the first one fails.
        let _ = owner.push();
        outcomes.extend(owner.make_way());
        owner.begin();
    }
    while outcomes.len() < 20 {
        outcomes.push(owner.next_outcome());
    }
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()), "{outcomes:?}");
    assert!(owner.push().is_err());
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Push,
    /// Settles the n-th message.
    Settle(usize),
    Begin,
    Commit,
    Reclaim,
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        10 => Just(Operation::Push),
        8 => (0..40_usize).prop_map(Operation::Settle),
        6 => Just(Operation::Begin),
        2 => Just(Operation::Commit),
        2 => Just(Operation::Reclaim),
        1 => Just(Operation::Restart),
    ]
}

pub(crate) fn nothing_committed_is_lost_and_nothing_settled_comes_back<S: Subject>() {
    let config = ProptestConfig { cases: 60, max_shrink_iters: 500, ..ProptestConfig::default() };
    let operations = prop::collection::vec(operation(), 1..200);
    let outcome = proptest::test_runner::TestRunner::new(config).run(&operations, |operations| {
        let (mut subject, mut owner) = opened::<S>();
        for operation in operations {
            match operation {
                Operation::Push => {
                    owner.push().unwrap();
                }
                Operation::Settle(index) => {
                    if let Some(sequence) = owner.messages.keys().copied().nth(index) {
                        owner.settle(sequence).unwrap();
                    }
                }
                Operation::Begin => {
                    owner.make_way().into_iter().for_each(|(_, outcome)| outcome.unwrap());
                    owner.begin();
                }
                Operation::Commit => {
                    owner.commit();
                }
                Operation::Reclaim => owner.reclaim(),
                Operation::Restart => {
                    owner.commit();
                    let messages: Vec<u64> = owner.messages.keys().copied().collect();
                    owner = reopened(&mut subject, owner);
                    prop_assert!(owner.messages.keys().eq(messages.iter()));
                }
            }
            owner.check();
        }
        Ok(())
    });
    outcome.unwrap();
}
