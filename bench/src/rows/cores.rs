//! Cost of a second worker: CPU per durable push when half of the requests hop from one worker to the other. Both
//! workers run on one core, so that the row compares CPU time and not rates.

use anyhow::Result;

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, SPARES, work::Repeat},
    load::{self, Turn},
    report::row::{Goal, Row},
    rounds::{Contestant, duel, of},
};

const CLIENTS: usize = 64;
const NAME: &str = "CPU per durable push, two workers ÷ one, 64 clients of one channel";
const GOAL: Goal = Goal::at_most(1.15, 1.05);

pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    let rounds = duel(
        NAME,
        arguments.rounds,
        Contestant::new("two workers", || turn(arguments, 2)),
        Contestant::new("one", || turn(arguments, 1)),
    )?;
    let cpu = of(&rounds, |(two, one)| (two.server_cpu_us, one.server_cpu_us));
    Ok(vec![
        Row::compared(NAME, GOAL, "µs of CPU per push", cpu)
            .with("two workers: pushes/s", of(&rounds, |(two, _)| two.rate))
            .with("one worker: pushes/s", of(&rounds, |(_, one)| one.rate)),
    ])
}

/// One worker owns the channel, and the kernel spreads connections over both, so half of the requests hop.
fn turn(arguments: &Arguments, cores: u32) -> Result<Turn> {
    let options = Options { spares: SPARES, cores: Some(cores), ..Options::default() };
    let Broker { server, .. } = &Broker::start(&arguments.output, &options)?;
    load::run(Repeat::push(server.address), server.id(), CLIENTS, arguments.window())
}
