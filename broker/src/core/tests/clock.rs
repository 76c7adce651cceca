//! The clock of a start.

use super::*;
use crate::log::{Record, Target, Targets};

fn a_start_shows_no_time_before_that_of_the_newest_message<P: Place>() {
    let mut bench = Bench::<P>::new(vec![channel("one")]);
    // As if the wall clock had been an hour ahead, and was then put right.
    let ahead = bench.core.clock.now() + 3_600_000;
    let mut targets = Vec::new();
    Target { channel: bench.entries[0].number, sequence: 0, expires_ms: None }.encode(&mut targets);
    let message = Record::Message {
        targets: Targets::new(&targets),
        message_id: 1,
        enqueued_ms: ahead,
        idempotency: None,
        due_ms: None,
        group: None,
        moved_from: None,
        headers: &[],
        body: b"ahead",
    };
    bench.core.log.append(&message, crate::log::Purpose::Store).unwrap();
    bench.commit();
    let bench = bench.restart();
    assert!(bench.core.clock.now() >= ahead);
}

on_every_log!(a_start_shows_no_time_before_that_of_the_newest_message);
