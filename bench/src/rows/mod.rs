//! The rows of the table: what is compared with what.

mod parked;
mod peers;
mod push;

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    arguments::Arguments,
    peers::Peers,
    report::{self, row::Row},
};

/// Rows that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    /// A durable push of 1 KiB ÷ a POST that does nothing.
    Push,
    /// A durable push of 1 KiB ÷ those of other brokers.
    Peers,
    /// What receivers cost that wait.
    Parked,
}

impl Rows {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 3] = [Self::Push, Self::Peers, Self::Parked];

    fn run(self, arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
        match self {
            Self::Push => push::run(arguments),
            Self::Peers => self::peers::run(arguments, peers),
            Self::Parked => parked::run(arguments),
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Runs those that were asked for. What fails is a row as well, so that an hour is not lost by it; what there is is written
/// after each of them.
pub(crate) fn run(arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for these in &arguments.rows {
        match these.run(arguments, peers) {
            Ok(more) => rows.extend(more),
            Err(error) => rows.push(Row::broken(these.name(), &error)),
        }
        report::write(&arguments.output, report::RESULTS, &rows)?;
    }
    Ok(rows)
}
