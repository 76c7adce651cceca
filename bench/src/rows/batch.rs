//! Durable batched pushes ÷ the rate of no-op requests on the same HTTP stack.

use anyhow::Result;

use super::push::no_op;
use crate::{
    arguments::Arguments,
    broker::{ADDRESS, Broker, Options, http::push_batch, work::Repeat},
    load::{self, Turn},
    report::row::{Goal, Row},
    rounds::{Contestant, duel, of},
};

const CLIENTS: usize = 64;
/// Messages per request.
pub(super) const MESSAGES: usize = 64;
/// More segments than a turn fills at twice the rate of the stretch goal.
const SPARES: u32 = 24;

pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    let name = format!("durable batched push, {MESSAGES} per request ÷ no-op POST, {CLIENTS} clients");
    let rounds = duel(
        &name,
        arguments.rounds,
        Contestant::new("ours", || ours(arguments, &Options::default())),
        Contestant::new("no-op", || no_op(arguments, CLIENTS)),
    )?;
    let messages = MESSAGES as f64;
    let rates = of(&rounds, |(ours, no_op)| (ours.rate * messages, no_op.rate));
    Ok(vec![
        Row::compared(name, Goal::at_least(2.5, 5.0), "messages/s ÷ requests/s", rates)
            .with("ours: CPU µs per message", of(&rounds, |(ours, _)| ours.server_cpu_us / messages))
            .with("no-op: CPU µs per request", of(&rounds, |(_, no_op)| no_op.server_cpu_us))
            .with("ours: p50 µs of a request", of(&rounds, |(ours, _)| ours.p50_us))
            .with("ours: load's share of its core", of(&rounds, |(ours, _)| ours.load_busy))
            .with("no-op: load's share of its core", of(&rounds, |(_, no_op)| no_op.load_busy)),
    ])
}

/// A turn of Restante: durable pushes of many messages per request.
pub(super) fn ours(arguments: &Arguments, options: &Options) -> Result<Turn> {
    let options = Options { spares: SPARES, ..options.clone() };
    let Broker { server, .. } = &Broker::start(&arguments.output, &options)?;
    let request = push_batch(ADDRESS, MESSAGES, |_| restante_wire::batch::ItemHead::default());
    let work = Repeat { server: server.address, request, status: 200 };
    load::run(work, server.id(), CLIENTS, arguments.window())
}
