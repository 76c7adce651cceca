//! The gate of a change of structure: this build against another one, which take turns in the same run. A change that
//! only moves code costs nothing.

use std::path::Path;

use anyhow::Result;

use super::{Rows, batch, channels, parked, pull, push, queued};
use crate::{
    arguments::Arguments,
    broker::Options,
    load::Turn,
    report::{
        progress,
        row::{Goal, Row},
    },
    rounds::{Contestant, duel, of},
    statistics::median_interval,
};

/// Limits of the ratio new ÷ old of a cost: CPU time is steady, rates less so.
const COST: Goal = Goal::at_most(1.03, 1.0);
const RATE: Goal = Goal::at_most(1.10, 1.0);

/// Keep-alive clients of a push.
const CLIENTS: usize = 64;
/// Rounds of a memory figure: each takes long, and memory differs little between rounds.
const MEMORY_ROUNDS_MAX: u32 = 5;

/// Runs one group against the other program. Groups that compare nothing about Restante itself have no row.
pub(super) fn run(rows: Rows, arguments: &Arguments, other: &Path) -> Result<Vec<Row>> {
    let gate = Gate { arguments, old: Options { program: Some(other.to_owned()), ..Options::default() } };
    match rows {
        Rows::Push => {
            gate.turns("durable push, 64 clients", 1, |options| push::ours(arguments, options, CLIENTS))
        }
        Rows::Batch => {
            gate.turns("durable batched push", batch::MESSAGES, |options| batch::ours(arguments, options))
        }
        Rows::Pull => gate.turns("pull and settle", 1, |options| pull::ours(arguments, options)),
        Rows::Parked => gate.memory("waiting receiver", |options| parked::bytes(arguments, options)),
        Rows::Queued => gate.memory("queued message", |options| queued::bytes(arguments, options)),
        Rows::Channels => gate.channels(),
        _ => Ok(Vec::new()),
    }
}

struct Gate<'a> {
    arguments: &'a Arguments,
    /// Options that start the other program.
    old: Options,
}

impl Gate<'_> {
    fn turns(
        &self,
        name: &str,
        messages: usize,
        turn: impl Fn(&Options) -> Result<Turn>,
    ) -> Result<Vec<Row>> {
        let new = Options::default();
        let rounds = duel(
            name,
            self.arguments.rounds,
            Contestant::new("new", || turn(&new)),
            Contestant::new("old", || turn(&self.old)),
        )?;
        let messages = messages as f64;
        Ok(vec![
            compared(
                format!("CPU per message, new ÷ old: {name}"),
                COST,
                "µs",
                of(&rounds, |(new, old)| (new.server_cpu_us / messages, old.server_cpu_us / messages)),
            ),
            compared(
                format!("time per message, new ÷ old: {name}"),
                RATE,
                "µs",
                of(&rounds, |(new, old)| (1e6 / new.rate / messages, 1e6 / old.rate / messages)),
            ),
        ])
    }

    fn memory(&self, of: &str, bytes: impl Fn(&Options) -> Result<f64>) -> Result<Vec<Row>> {
        let mut rounds = Vec::new();
        for _ in 0..self.arguments.rounds.min(MEMORY_ROUNDS_MAX) {
            let round = (bytes(&Options::default())?, bytes(&self.old)?);
            progress(&format!("memory per {of}: new {:.1} bytes, old {:.1} bytes", round.0, round.1));
            rounds.push(round);
        }
        Ok(vec![compared(format!("memory per {of}, new ÷ old"), COST, "bytes", rounds)])
    }

    fn channels(&self) -> Result<Vec<Row>> {
        let many = self.arguments.channels;
        let broker = |options| channels::with_channels(self.arguments, options, many);
        let ((new_bytes, new), (old_bytes, old)) = (broker(&Options::default())?, broker(&self.old)?);
        let rounds = duel(
            "push with many channels",
            self.arguments.rounds,
            Contestant::new("new", || channels::turn(self.arguments, &new, many)),
            Contestant::new("old", || channels::turn(self.arguments, &old, many)),
        )?;
        Ok(vec![
            compared(
                format!("memory of a broker with {many} channels, new ÷ old"),
                COST,
                "bytes",
                vec![(new_bytes, old_bytes)],
            ),
            compared(
                format!("CPU per push with {many} channels, new ÷ old"),
                COST,
                "µs",
                of(&rounds, |(new, old)| (new.server_cpu_us, old.server_cpu_us)),
            ),
        ])
    }
}

/// A row with the interval of its ratio: the gate is passed if its lower end is at most 1.
fn compared(name: String, goal: Goal, unit: &str, rounds: Vec<(f64, f64)>) -> Row {
    let ratios: Vec<f64> = rounds.iter().map(|(new, old)| new / old).collect();
    let (low, high) = median_interval(&ratios);
    Row::compared(name, goal, unit, rounds).with("95 % interval of the median ratio", [low, high])
}
