//! The rows of the table: what is compared with what.

mod backlog;
mod batch;
mod channels;
mod cores;
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

/// Rows that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    /// A durable push of 1 KiB ÷ a POST that does nothing.
    Push,
    /// A durable push of 1 KiB ÷ those of other brokers.
    Peers,
    /// Durable pushes of many messages a request ÷ the rate of requests that do nothing.
    Batch,
    /// Getting and settling ÷ NATS.
    Pull,
    /// From a sender to a receiver that waits ÷ NATS.
    Handover,
    /// A deep queue ÷ a short one, and starting over it.
    Backlog,
    /// What receivers cost that wait.
    Parked,
    /// Memory per queued message.
    Queued,
    /// What channels cost that nobody uses.
    Channels,
    /// What a second runtime costs.
    Cores,
    /// Memory per idempotency key.
    Keys,
    /// Everything that clients do, for a while: whether memory, disk and latency stay what they are.
    Soak,
}

impl Rows {
    /// All of them, in the order of the table.
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
