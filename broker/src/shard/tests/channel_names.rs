//! Each part of a log names the channels of its messages and keys.

use std::collections::BTreeSet;

use super::*;
use crate::log::{Position, Record, conformance::BlockingLog};

#[test]
fn a_channel_is_named_once_in_each_part_of_the_log_with_its_messages() {
    let mut bench = Bench::<Folder>::new(vec![channel("one"), channel("two")]);
    for _ in 0..200 {
        for (channels, content) in [(&[0][..], "x".repeat(2000)), (&[0, 1], "both".to_owned())] {
            bench.push(channels, message(&content)).unwrap();
            assert!(
                bench.shard.ledger.named.knows(bench.entries[0].id, bench.shard.ledger.log.current_part())
            );
        }
        bench.commit();
    }
    let number = bench.entries[0].id;
    let (mut parts, mut named) = (BTreeSet::new(), Vec::new());
    for (position, bytes) in bench.shard.ledger.log.scanned(Position::START, None).unwrap() {
        let part = position.parts()[0];
        match Record::decode(&bytes).unwrap() {
            Record::Message { .. } => {
                parts.insert(part);
            }
            Record::Channel { channel, namespace, name, .. } if channel == number => {
                assert_eq!((namespace, name), ("acme", "one"));
                named.push(part);
            }
            Record::Channel { .. } | Record::Clock { .. } => {}
            other => panic!("unexpected record {other:?}"),
        }
    }
    assert!(parts.len() > 4, "{parts:?}");
    assert!(named.iter().eq(&parts), "{named:?} {parts:?}");
}

/// Checks that each part of a log names the channels of its messages.
fn check_names<L: Log>(shard: &mut Shard<L>) {
    let mut named = BTreeSet::new();
    for (position, bytes) in shard.ledger.log.scanned(Position::START, None).unwrap() {
        if let Record::Channel { channel, .. } = Record::decode(&bytes).unwrap() {
            named.insert((L::part_of(position), channel));
        }
    }
    for (number, channel) in &shard.facts.channels {
        for (sequence, message) in channel.state.messages() {
            let part = L::part_of(message.stored.position);
            assert!(named.contains(&(part, *number)), "message {sequence} in part {part}");
        }
    }
}

#[test]
fn a_start_that_copies_a_message_to_another_part_of_the_log_names_its_channel_there() {
    let mut bench = Bench::<Folder>::new(vec![channel("one"), channel("two")]);
    for round in 0..6 {
        bench.push(&[0], message("one")).unwrap();
        bench.commit();
        bench.push(&[round % 2, 1], message("the last")).unwrap();
        bench.commit();
        bench = bench.restart();
        bench.commit();
        check_names(&mut bench.shard);
    }
    let parts = bench.shard.ledger.log.stats().segments;
    assert!(parts > 1, "{parts} parts");
}
