//! CPU cost of a message in a deep queue ÷ in a short one, and bytes that the disk writes per message.

use anyhow::Result;

use super::{COST, Names, WRITTEN};
use crate::{
    arguments::Arguments,
    broker::{Broker, Options, SPARES, fill::fill, http::MESSAGE_BYTES, work::PushAndPull},
    disk::written_bytes,
    load::{self, Turn, block_on},
    report::row::Row,
    rounds::{Contestant, duel, of},
};

const CLIENTS: usize = 64;
/// Length of the short queue: more than the clients hold at a time.
const SHORT: usize = 1000;

/// A log keeps about three spare segments, of 60,000 messages each. After more messages than these, it reuses its own
/// segments.
const UNTIL_SEGMENTS_COME_BACK: f64 = 250_000.0;

/// Takes the broker of the deep queue, and stops it at the end.
pub(super) fn run(arguments: &Arguments, mut deep: Broker, names: &Names) -> Result<Vec<Row>> {
    let mut short = Broker::start(&arguments.output, &Options { spares: SPARES, ..Options::default() })?;
    block_on(fill(short.server.address, SHORT, |_| Default::default()))?;
    // Both brokers run for the whole row: filling a deep queue takes longer than all of its turns.
    deep.server.wait_until_idle()?;
    short.server.wait_until_idle()?;
    // A log that was only written has no segments to reuse. It has some after some of its messages were settled.
    let begun = pushed(&deep)?;
    while pushed(&deep)? < begun + UNTIL_SEGMENTS_COME_BACK {
        turn(arguments, &deep)?;
    }
    let (mut written, mut groups) = (Vec::new(), Vec::new());
    let rounds = duel(
        &names.cost,
        arguments.rounds,
        Contestant::new("deep", || {
            let counts = || anyhow::Ok([written_bytes(&arguments.output)?, pushed(&deep)?, synced(&deep)?]);
            let before = counts()?;
            let turn = turn(arguments, &deep)?;
            let after = counts()?;
            let [bytes, messages, syncs] = [0, 1, 2].map(|count| after[count] - before[count]);
            written.push(bytes / (messages * MESSAGE_BYTES as f64));
            groups.push(messages / syncs);
            Ok(turn)
        }),
        Contestant::new("short", || turn(arguments, &short)),
    )?;
    let cpu = of(&rounds, |(deep, short)| (deep.server_cpu_us, short.server_cpu_us));
    Ok(vec![
        Row::compared(&names.cost, COST, "µs of CPU per message", cpu)
            .with("ratio of time per message", of(&rounds, |(deep, short)| short.rate / deep.rate))
            .with("deep: messages/s", of(&rounds, |(deep, _)| deep.rate))
            .with("short: messages/s", of(&rounds, |(_, short)| short.rate))
            .with("deep: p99 µs of a push and a pull", of(&rounds, |(deep, _)| deep.p99_us))
            .with("short: p99 µs of a push and a pull", of(&rounds, |(_, short)| short.p99_us)),
        Row::measured(&names.written, WRITTEN, "bytes per byte of message body", written)
            .with("messages per sync", groups),
    ])
}

fn turn(arguments: &Arguments, Broker { server, .. }: &Broker) -> Result<Turn> {
    load::run(PushAndPull { server: server.address }, server.id(), CLIENTS, arguments.window())
}

fn synced(broker: &Broker) -> Result<f64> {
    block_on(broker.metric("restante_store_sync_seconds_count"))
}

fn pushed(broker: &Broker) -> Result<f64> {
    block_on(broker.metric("restante_messages_pushed_total"))
}
