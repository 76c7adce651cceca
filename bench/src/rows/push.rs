//! Durable single push ÷ our own no-op POST on the same stack: what being a durable broker costs beyond HTTP.

use anyhow::Result;

use crate::{
    arguments::Arguments,
    load::{self, Turn},
    report::{Row, said},
    request,
    server::{ADDRESS, Server},
    statistics::Spread,
};

/// The content of a message.
const MESSAGE_BYTES: usize = 1024;
/// Keep-alive clients, each with one request under way, and what the ratio is to reach.
const CASES: [(usize, f64); 2] = [(64, 0.65), (256, 0.80)];

pub(crate) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    CASES.into_iter().map(|(clients, goal)| case(arguments, clients, goal)).collect()
}

fn case(arguments: &Arguments, clients: usize, goal: f64) -> Result<Row> {
    let turn = |server: Server| {
        load::run(
            server.data,
            server.id(),
            request::push(ADDRESS, MESSAGE_BYTES),
            clients,
            arguments.window(),
        )
    };
    let mut turns: Vec<(Turn, Turn)> = Vec::new();
    for round in 0..arguments.rounds {
        // Each begins as often as the other: what drifts while the machine runs hits both.
        let broker_first = round % 2 == 0;
        let before = if broker_first { Some(turn(Server::broker(&arguments.output)?)?) } else { None };
        let no_op = turn(Server::no_op(&arguments.output)?)?;
        let broker = match before {
            Some(broker) => broker,
            None => turn(Server::broker(&arguments.output)?)?,
        };
        said(&format!(
            "push, {clients} clients, round {}: {:.0}/s ÷ {:.0}/s = {:.3}",
            round + 1,
            broker.rate,
            no_op.rate,
            broker.rate / no_op.rate
        ));
        turns.push((broker, no_op));
    }
    let of = |value: fn(&(Turn, Turn)) -> f64| Spread::of(turns.iter().map(value));
    Ok(Row {
        name: format!("durable push of 1 KiB ÷ no-op POST, {clients} clients"),
        goal: Some(goal),
        result: ("ratio of requests per second".to_owned(), of(|(broker, no_op)| broker.rate / no_op.rate)),
        details: [
            ("broker: pushes/s", of(|(broker, _)| broker.rate)),
            ("no-op: requests/s", of(|(_, no_op)| no_op.rate)),
            ("broker: CPU µs per push", of(|(broker, _)| broker.server_cpu_us)),
            ("no-op: CPU µs per request", of(|(_, no_op)| no_op.server_cpu_us)),
            ("ratio of CPU per request", of(|(broker, no_op)| no_op.server_cpu_us / broker.server_cpu_us)),
            ("load: CPU µs per push", of(|(broker, _)| broker.load_cpu_us)),
            ("broker: p50 µs", of(|(broker, _)| broker.p50_us)),
            ("broker: p99 µs", of(|(broker, _)| broker.p99_us)),
        ]
        .map(|(name, spread)| (name.to_owned(), spread))
        .to_vec(),
    })
}
