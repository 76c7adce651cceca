//! A deep queue: CPU cost of a message in it, and the time of a start that replays it.

mod cost;
mod recovery;

use anyhow::Result;
use nix::sys::statvfs::statvfs;

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, fill::fill},
    load::block_on,
    report::{
        progress,
        row::{Goal, Row},
        table::abbreviated,
    },
};

/// Disk space per message of the backlog: 25 GB for ten million. The log contains the backlog, messages that were
/// settled in the meantime, and copies.
const ROOM_BYTES: u64 = 2_500;

/// Names of the rows, also used if they are skipped for lack of disk space.
struct Names {
    cost: String,
    written: String,
    sealed: String,
    scan: String,
}

const COST: Goal = Goal::at_most(1.10, 1.02);
const WRITTEN: Goal = Goal::at_most(1.20, 1.10);
const SEALED: Goal = Goal { goal: Some(5.0), stretch: None, less_is_better: false };
const SCAN: Goal = Goal { goal: Some(1.5), stretch: None, less_is_better: false };

pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    let names = Names::of(arguments.backlog);
    let (free, needed) = (free_bytes(arguments)?, arguments.backlog as u64 * ROOM_BYTES);
    if free < needed {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        let reason =
            format!("{:.0} GB of disk are free, {:.1} GB are needed", gigabytes(free), gigabytes(needed));
        let skipped = |name, goal| Row::skipped(name, goal, reason.clone() + "; BACKLOG=1000000 needs less");
        return Ok(vec![
            skipped(names.cost, COST),
            skipped(names.written, WRITTEN),
            skipped(names.sealed, SEALED),
            skipped(names.scan, SCAN),
        ]);
    }

    let folder = tempfile::tempdir_in(&arguments.output)?;
    let deep = Broker::start_in(folder.path(), &Options::default())?;
    progress(&format!("backlog: pushing {} messages", arguments.backlog));
    block_on(fill(deep.server.address, arguments.backlog, |_| Default::default()))?;
    let mut rows = cost::run(arguments, deep, &names)?;
    rows.extend(recovery::run(arguments, folder.path(), &names)?);
    Ok(rows)
}

impl Names {
    fn of(backlog: usize) -> Self {
        let backlog = abbreviated(backlog);
        Self {
            cost: format!("cost of push, pull and settle at {backlog} backlog ÷ at 1k"),
            written: format!("bytes written per byte at {backlog} backlog"),
            sealed: format!("recovery of sealed segments, {backlog} messages"),
            scan: format!("recovery by full scan, {backlog} messages"),
        }
    }
}

fn free_bytes(arguments: &Arguments) -> Result<u64> {
    let disk = statvfs(&arguments.output)?;
    Ok(disk.blocks_available() * disk.fragment_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_backlog_is_named_in_its_rows() {
        assert_eq!(Names::of(1_000_000).written, "bytes written per byte at 1M backlog");
    }
}
