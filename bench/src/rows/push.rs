//! Durable single push ÷ a no-op POST on the same HTTP stack: the cost of a durable broker beyond HTTP.

use anyhow::Result;

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, SPARES, work::Repeat},
    load::{self, Turn},
    no_op,
    report::row::{Goal, Row},
    rounds::{Contestant, duel, of},
};

/// Number of keep-alive clients, each with one request in flight, and the goal of the ratio.
const CASES: [(usize, Goal); 2] = [(64, Goal::at_least(0.65, 0.75)), (256, Goal::at_least(0.80, 0.90))];

pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    CASES.into_iter().map(|(clients, goal)| case(arguments, clients, goal)).collect()
}

fn case(arguments: &Arguments, clients: usize, goal: Goal) -> Result<Row> {
    let name = format!("durable push ÷ no-op POST, {clients} clients");
    let rounds = duel(
        &name,
        arguments.rounds,
        Contestant::new("ours", || ours(arguments, &Options::default(), clients)),
        Contestant::new("no-op", || no_op(arguments, clients)),
    )?;
    Ok(Row::compared(name, goal, "requests/s", of(&rounds, |(ours, no_op)| (ours.rate, no_op.rate)))
        .with("ours: CPU µs per push", of(&rounds, |(ours, _)| ours.server_cpu_us))
        .with("no-op: CPU µs per request", of(&rounds, |(_, no_op)| no_op.server_cpu_us))
        .with(
            "ratio of CPU per request, no-op ÷ ours",
            of(&rounds, |(ours, no_op)| no_op.server_cpu_us / ours.server_cpu_us),
        )
        .with("ours: p50 µs", of(&rounds, |(ours, _)| ours.p50_us))
        .with("ours: p99 µs", of(&rounds, |(ours, _)| ours.p99_us))
        .with("ours: load's share of its core", of(&rounds, |(ours, _)| ours.load_busy))
        .with("no-op: load's share of its core", of(&rounds, |(_, no_op)| no_op.load_busy)))
}

/// A turn of Restante: durable pushes of one message per request.
pub(super) fn ours(arguments: &Arguments, options: &Options, clients: usize) -> Result<Turn> {
    let options = Options { spares: SPARES, ..options.clone() };
    let broker = Broker::start(&arguments.output, &options)?;
    let Broker { server, .. } = &broker;
    load::run(Repeat::push(server.address), server.id(), clients, arguments.window())
}

/// A turn of the no-op server with the same requests.
pub(super) fn no_op(arguments: &Arguments, clients: usize) -> Result<Turn> {
    let server = no_op::start(&arguments.output)?;
    load::run(Repeat::push(server.address), server.id(), clients, arguments.window())
}
