//! Pulling a message and settling the previous one in one round trip, one message at a time ÷ the same with NATS.

use std::path::Path;

use anyhow::Result;

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, SPARES, fill::fill, work::PullAndSettle},
    load::{self, Turn, WARM_UP, block_on},
    peers::{
        Peers,
        nats::{self, Sync, work::PullAndAck},
    },
    report::row::{Goal, Row},
    rounds::{Contestant, duel, of},
};

/// Receivers, each with one request in flight.
const RECEIVERS: usize = 64;
/// More than either broker delivers: a queue that becomes empty during a turn is an error.
const MESSAGES_PER_SECOND: f64 = 120_000.0;

const NAME: &str = "pull and settle in one round trip ÷ NATS pull and ack, 64 receivers";
const GOAL: Goal = Goal::at_least(2.0, 3.0);

pub(super) fn run(arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
    let Some(nats) = &peers.nats else { return Ok(vec![Row::missing(NAME, GOAL, "NATS")]) };
    let rounds = duel(
        NAME,
        arguments.rounds,
        Contestant::new("ours", || ours(arguments, &Options::default())),
        Contestant::new("NATS", || theirs(arguments, nats)),
    )?;
    Ok(vec![
        Row::compared(NAME, GOAL, "messages/s", of(&rounds, |(ours, theirs)| (ours.rate, theirs.rate)))
            .with("ours: CPU µs per message", of(&rounds, |(ours, _)| ours.server_cpu_us))
            .with("NATS: CPU µs per message", of(&rounds, |(_, theirs)| theirs.server_cpu_us))
            .with("ours: p50 µs", of(&rounds, |(ours, _)| ours.p50_us))
            .with("NATS: p50 µs", of(&rounds, |(_, theirs)| theirs.p50_us))
            .with("ours: load's share of its core", of(&rounds, |(ours, _)| ours.load_busy))
            .with("NATS: load's share of its core", of(&rounds, |(_, theirs)| theirs.load_busy)),
    ])
}

/// A turn of Restante: pulls that settle the previous message.
pub(super) fn ours(arguments: &Arguments, options: &Options) -> Result<Turn> {
    let options = Options { spares: SPARES, ..options.clone() };
    let mut broker = Broker::start(&arguments.output, &options)?;
    let server = &mut broker.server;
    block_on(fill(server.address, messages(arguments), |_| Default::default()))?;
    server.wait_until_idle()?;
    load::run(PullAndSettle { server: server.address }, server.id(), RECEIVERS, arguments.window())
}

/// Fills the stream with a server that does not sync, which is sixteen times faster, and empties it with a server that
/// does.
fn theirs(arguments: &Arguments, program: &Path) -> Result<Turn> {
    let folder = tempfile::tempdir_in(&arguments.output)?;
    let filled = nats::start(program, folder.path(), Sync::Default)?;
    block_on(nats::work::fill(filled.address, messages(arguments)))?;
    drop(filled);
    let mut server = nats::start(program, folder.path(), Sync::Always)?;
    server.keep(folder);
    load::run(PullAndAck { server: server.address }, server.id(), RECEIVERS, arguments.window())
}

fn messages(arguments: &Arguments) -> usize {
    ((arguments.window() + WARM_UP).as_secs_f64() * MESSAGES_PER_SECOND) as usize
}
