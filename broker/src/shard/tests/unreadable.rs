//! An unreadable message becomes a dead letter: everything else continues, and no message is dropped.

use restante_wire::DeadLetterCause;

use super::*;
use crate::{
    channel::{Phase, Sequence, State},
    log::disk::simulated::Simulated,
};

/// A disk without a cache in memory.
#[derive(Default, Clone)]
pub(super) struct Cold(pub(super) Simulated);

impl Place for Cold {
    type Log = DiskLog<Simulated>;

    fn open(&self) -> DiskLog<Simulated> {
        let log = DiskLog::open_in(self.0.clone(), Options { segment_bytes: 64 << 10 }).unwrap();
        self.0.before_read(|| ());
        log
    }
}

/// Longer than a block of a disk, so that a bad block affects only a part of one message.
pub(super) fn body(number: usize) -> String {
    format!("{number:04}{}", "x".repeat(12_000))
}

/// A channel with this number of messages, none in memory.
fn stored(count: usize) -> Bench<Cold> {
    let mut bench: Bench<Cold> = Bench::new(vec![channel("one")]);
    for number in 0..count {
        bench.push(&[0], message(&body(number))).unwrap();
        bench.commit();
    }
    bench.restart()
}

/// Ways to make a message unreadable.
const WAYS: [fn(&Simulated, usize); 2] = [
    |disk, number| {
        let (file, offset) = place(disk, number);
        disk.break_at(&file, offset + 6000);
    },
    |disk, number| {
        let (file, offset) = place(disk, number);
        disk.flip(&file, offset + 6000);
    },
];

pub(super) fn place(disk: &Simulated, number: usize) -> (String, usize) {
    let found = disk.find(format!("{number:04}xxx").as_bytes());
    found.last().unwrap_or_else(|| panic!("{number} is nowhere")).clone()
}

/// The body of the next message; `None` if it became a dead letter.
fn pulled(bench: &mut Bench<Cold>) -> Option<String> {
    let Delivery { channel, granted, content, .. } = bench.pull(0, 60_000)?;
    let recorded = match content {
        Reading::Here(recorded) => Some(recorded),
        Reading::Coming(mut coming) => {
            let came = wait(|context| Pin::new(&mut coming).poll(context));
            bench
                .shard
                .finish_read(channel, granted.sequence, Some(granted.claim()), came)
                .unwrap()
                .readable()
        }
        Reading::Unreadable(_) => None,
    };
    recorded.map(|recorded| String::from_utf8(recorded.content.body.to_vec()).unwrap())
}

pub(super) fn dead(bench: &Bench<Cold>) -> Vec<(Sequence, DeadLetterCause, String)> {
    let state = &bench.shard.facts.channels[&bench.entries[0].id].state;
    let dead = state.messages().filter_map(|(sequence, message)| match &message.phase {
        Phase::Dead(death) => {
            Some((sequence, death.cause, death.reason.as_deref().unwrap_or_default().to_owned()))
        }
        _ => None,
    });
    dead.collect()
}

#[test]
fn an_unreadable_message_becomes_a_dead_letter_with_its_reason_and_others_are_delivered() {
    for spoil in WAYS {
        let mut bench = stored(6);
        spoil(&bench.place.0, 2);
        let contents: Vec<_> = (0..6).map(|_| pulled(&mut bench)).collect();
        let expected: Vec<_> = (0..6).map(|number| (number != 2).then(|| body(number))).collect();
        assert_eq!(contents, expected);
        assert!(!bench.shard.has_failed());
        let (sequence, cause, reason) = dead(&bench).pop().unwrap();
        assert_eq!((sequence, cause), (2, DeadLetterCause::Unreadable));
        assert!(reason.contains(".seg"), "{reason}");
        assert_eq!(bench.shard.metrics.unreadable.get(), 1);
        bench.commit();
        // It still is one after a restart, and its channel continues.
        bench.push(&[0], message("more")).unwrap();
        bench.commit();
        assert_eq!(pulled(&mut bench).unwrap(), "more");
    }
}

#[test]
fn a_start_with_a_bad_sector_continues_without_that_message() {
    for cold_start in [false, true] {
        let mut bench = stored(6);
        WAYS[0](&bench.place.0, 2);
        if cold_start {
            // Meanwhile a tail that is not known to be on disk is copied.
            bench.pull(0, 60_000).unwrap();
            bench.commit();
        }
        let mut bench = bench.restart();
        let contents: Vec<_> = (0..6).filter_map(|_| pulled(&mut bench)).collect();
        let expected: Vec<_> = (usize::from(cold_start)..6).filter(|number| *number != 2).map(body).collect();
        assert_eq!(contents, expected);
        assert_eq!(dead(&bench).len(), 1);
    }
}

#[test]
fn a_redrive_after_the_disk_is_repaired_brings_the_message_back() {
    let mut bench = stored(30);
    WAYS[0](&bench.place.0, 2);
    while bench.shard.metrics.unreadable.get() == 0 {
        pulled(&mut bench);
    }
    bench.commit();
    bench.place.0.mend();
    let mut bench = bench.restart();
    assert_eq!(dead(&bench).len(), 1, "it is still one");
    let entry = bench.entries[0].clone();
    assert_eq!(bench.shard.redrive(&entry, None, 0, 10, None).unwrap().moved, 1);
    assert_eq!(pulled(&mut bench).unwrap(), body(2));
}

#[test]
fn a_disk_that_cannot_read_at_all_stops_the_broker_instead_of_making_dead_letters() {
    let mut bench = stored(60);
    bench.place.0.fail_reads();
    let mut dead_letters = 0;
    for _ in 0..60 {
        let Some(Delivery { channel, granted, content, .. }) = bench.pull(0, 60_000) else { break };
        let Reading::Coming(mut coming) = content else { panic!("nothing is in memory") };
        let came = wait(|context| Pin::new(&mut coming).poll(context));
        if bench.shard.finish_read(channel, granted.sequence, Some(granted.claim()), came).is_err() {
            break;
        }
        dead_letters += 1;
    }
    assert!(bench.shard.has_failed());
    assert!(dead_letters < 40, "{dead_letters}");
    let failure = bench.shard.failure().unwrap();
    assert!(failure.reason().is_some_and(|reason| reason.contains(".seg")), "{failure:?}");
}

#[test]
fn any_number_of_damaged_messages_does_not_stop_the_delivery_of_others() {
    let mut bench = stored(60);
    (0..50).for_each(|number| WAYS[1](&bench.place.0, number));
    let contents: Vec<_> = (0..60).filter_map(|_| pulled(&mut bench)).collect();
    assert!(!bench.shard.has_failed());
    assert_eq!(contents, (50..60).map(body).collect::<Vec<_>>());
    assert_eq!(dead(&bench).len(), 50);
}

#[test]
fn the_segment_of_an_unreadable_message_is_freed_only_after_its_purge() {
    for spoil in WAYS {
        let mut bench = stored(60);
        let number = bench.entries[0].id;
        spoil(&bench.place.0, 2);
        let segments = bench.shard.ledger.log.stats().segments;
        for _ in 0..60 {
            let Some(delivery) = bench.pull(0, 60_000) else { break };
            let claim = delivery.granted.claim();
            if let Reading::Coming(mut coming) = delivery.content {
                let came = wait(|context| Pin::new(&mut coming).poll(context));
                bench.shard.finish_read(number, claim.sequence, Some(claim), came).unwrap();
            }
            let _ = bench.shard.settle(number, claim);
        }
        bench.commit();
        reclaim_once(&mut bench);
        assert!(!bench.shard.has_failed());
        assert_eq!(bench.shard.ledger.log.stats().segments, segments, "it is still needed");
        assert_eq!(dead(&bench).len(), 1);
        let entry = bench.entries[0].clone();
        let _ = bench.shard.purge(&entry, State::Dead).unwrap();
        bench.commit();
        bench.shard.reclaim.again_at = 0;
        reclaim_once(&mut bench);
        assert!(bench.shard.ledger.log.stats().segments < segments, "it is not needed any more");
    }
}

/// Reclaims space until there is nothing left to reclaim, or a long pause.
pub(super) fn reclaim_once(bench: &mut Bench<Cold>) {
    wait(|context: &mut Context<'_>| {
        loop {
            match bench.shard.reclaim_step(context).unwrap() {
                Progress::Later(pause) if pause > 30_000 => return Poll::Ready(()),
                Progress::Idle => return Poll::Ready(()),
                Progress::More | Progress::Later(_) => {}
                Progress::Waiting => match bench.shard.poll_commits(context) {
                    Poll::Ready(()) => bench.shard.commit(),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    });
}
