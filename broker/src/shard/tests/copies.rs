//! Retained bytes of a message that compaction copies.

use super::*;
use crate::log::Position;

/// The position of the first channel's only message.
fn place<P: Place>(bench: &Bench<P>) -> Position {
    let channel = &bench.shard.facts.channels[&bench.entries[0].id];
    channel.state.messages().next().unwrap().1.stored.position
}

fn a_copied_message_counts_once_before_and_after_its_original_is_freed<P: Place>() {
    let mut bench = Bench::<P>::new(["stays", "goes"].map(channel).to_vec());
    bench.push(&[0], message("stays")).unwrap();
    for _ in 0..30 {
        bench.push(&[1], message(&"x".repeat(20_000))).unwrap();
        let delivery = bench.pull(1, 3_600_000).unwrap();
        let _ = bench.shard.settle(delivery.channel, delivery.granted.claim()).unwrap();
        bench.commit();
    }
    let needed = bench.shard.ledger.log.stats().live_bytes;
    let original = place(&bench);
    wait(|context| {
        loop {
            let progress = bench.shard.reclaim_step(context).unwrap();
            if place(&bench) != original {
                return Poll::Ready(());
            }
            match progress {
                Progress::Idle => panic!("nearly all records around the message are dead"),
                Progress::Waiting => return Poll::Pending,
                Progress::More | Progress::Later(_) => {}
            }
        }
    });
    // The copy is not on disk yet, so its original is not freed.
    assert_eq!(bench.shard.ledger.log.stats().live_bytes, needed);
    bench.reclaim();
    assert_eq!(bench.shard.ledger.log.stats().live_bytes, needed);
}

on_every_log!(a_copied_message_counts_once_before_and_after_its_original_is_freed);
