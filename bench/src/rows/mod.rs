//! The rows of the table, one module per comparison.

mod backlog;
mod batch;
mod channels;
mod cores;
mod gate;
mod handover;
mod parked;
mod peers;
mod pull;
mod push;
mod queued;
mod soak;

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    arguments::Arguments,
    peers::Peers,
    report::{self, row::Row},
};

/// Groups of rows that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    /// Durable push of 1 KiB ÷ no-op POST
    Push,
    /// Durable push of 1 KiB ÷ a push to other brokers
    Peers,
    /// Durable batched push ÷ rate of no-op requests
    Batch,
    /// Pull and settle ÷ NATS
    Pull,
    /// Latency from a sender to a waiting receiver ÷ NATS
    Handover,
    /// Deep queue ÷ short queue, and recovery of the deep one
    Backlog,
    /// Cost of waiting receivers
    Parked,
    /// Memory per queued message
    Queued,
    /// Cost of idle channels
    Channels,
    /// Cost of a second worker
    Cores,
    /// Memory per idempotency key
    Keys,
    /// All client operations for a while: whether memory, disk and latency stay constant
    Soak,
}

impl Rows {
    /// All groups, in the order of the table.
    pub(crate) const ALL: [Self; 12] = [
        Self::Push,
        Self::Peers,
        Self::Batch,
        Self::Pull,
        Self::Handover,
        Self::Backlog,
        Self::Parked,
        Self::Queued,
        Self::Channels,
        Self::Cores,
        Self::Keys,
        Self::Soak,
    ];

    fn run(self, arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
        match self {
            Self::Push => push::run(arguments),
            Self::Peers => peers::run(arguments, peers),
            Self::Batch => batch::run(arguments),
            Self::Pull => pull::run(arguments, peers),
            Self::Handover => handover::run(arguments, peers),
            Self::Backlog => backlog::run(arguments),
            Self::Parked => parked::run(arguments),
            Self::Queued => queued::queued(arguments),
            Self::Channels => channels::run(arguments),
            Self::Cores => cores::run(arguments),
            Self::Keys => queued::keys(arguments),
            Self::Soak => soak::run(arguments),
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Runs the requested rows. A failure becomes a row, so that it does not lose an hour of results. The results are
/// written after each group.
pub(crate) fn run(arguments: &Arguments, peers: &Peers) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for these in &arguments.rows {
        let run = match &arguments.against {
            Some(other) => gate::run(*these, arguments, other),
            None => these.run(arguments, peers),
        };
        match run {
            Ok(more) => rows.extend(more),
            Err(error) => rows.push(Row::broken(these.name(), &error)),
        }
        report::write(&arguments.output, report::RESULTS, &rows)?;
    }
    Ok(rows)
}
