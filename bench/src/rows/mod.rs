//! The rows of the table: what is compared with what.

mod parked;
mod push;

use anyhow::Result;
use clap::ValueEnum;

use crate::{arguments::Arguments, report};

/// A row, or some that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// A durable push of 1 KiB ÷ a POST that does nothing.
    Push,
    /// What receivers cost that wait.
    Parked,
}

impl Row {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Push, Self::Parked];
}

/// Runs those that were asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<Vec<report::Row>> {
    let mut rows = Vec::new();
    for row in &arguments.rows {
        match row {
            Row::Push => rows.extend(push::run(arguments)?),
            Row::Parked => rows.push(parked::run(arguments)?),
        }
    }
    Ok(rows)
}
