//! Latency of a durable message from its sender to a waiting receiver ÷ the same with NATS.

use anyhow::Result;

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, SPARES, work::HandOver},
    load::{self, Turn},
    peers::{
        Peers,
        nats::{self, Sync},
    },
    report::row::{Goal, Row},
    rounds::{Contestant, duel, of},
};

const NAME: &str = "push → waiting receiver, durable, p50 ÷ NATS sync always";
const GOAL: Goal = Goal::at_most(0.9, 0.6);

/// One message at a time: this row measures latency, not throughput.
const PAIRS: usize = 1;

pub(super) fn run(arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
    let Some(nats) = &peers.nats else { return Ok(vec![Row::missing(NAME, GOAL, "NATS")]) };
    let theirs = || -> Result<Turn> {
        let folder = tempfile::tempdir_in(&arguments.output)?;
        let mut server = nats::start(nats, folder.path(), Sync::Always)?;
        server.keep(folder);
        load::run(nats::work::HandOver { server: server.address }, server.id(), PAIRS, arguments.window())
    };
    let rounds = duel(
        NAME,
        arguments.rounds,
        Contestant::new("ours", || ours(arguments)),
        Contestant::new("NATS", theirs),
    )?;
    Ok(vec![
        Row::compared(NAME, GOAL, "µs", of(&rounds, |(ours, theirs)| (ours.p50_us, theirs.p50_us)))
            .with("ours: p99 µs", of(&rounds, |(ours, _)| ours.p99_us))
            .with("NATS: p99 µs", of(&rounds, |(_, theirs)| theirs.p99_us))
            .with("ours: CPU µs per message", of(&rounds, |(ours, _)| ours.server_cpu_us))
            .with("NATS: CPU µs per message", of(&rounds, |(_, theirs)| theirs.server_cpu_us)),
    ])
}

fn ours(arguments: &Arguments) -> Result<Turn> {
    let options = Options { spares: SPARES, ..Options::default() };
    let Broker { server, .. } = &Broker::start(&arguments.output, &options)?;
    load::run(HandOver { server: server.address }, server.id(), PAIRS, arguments.window())
}
