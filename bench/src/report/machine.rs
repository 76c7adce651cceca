//! The machine of a run, and the versions of the other brokers.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{arguments::Arguments, peers::Peers, statistics::median};

/// Number of measured syncs.
const SYNCS: usize = 200;
/// Bytes written before each sync: a commit batch of several pushes.
const SYNC_BYTES: usize = 16 * 1024;

/// The machine of a run, and the versions of the other brokers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    /// Median time to overwrite and sync 16 KiB, in microseconds.
    fdatasync_us: f64,
    rounds: u32,
    seconds_per_turn: u64,
    /// Versions of the other brokers; `None` for a missing one.
    peers: BTreeMap<String, Option<String>>,
}

impl Machine {
    /// Describes this machine, with the disk of the output folder.
    pub(crate) fn here(arguments: &Arguments, peers: &Peers) -> Result<Self> {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = information.lines().find(|line| line.starts_with("model name"));
        Ok(Self {
            processor: model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            fdatasync_us: fdatasync_us(&arguments.output)?,
            rounds: arguments.rounds,
            seconds_per_turn: arguments.seconds,
            peers: peers.versions(),
        })
    }

    /// A caption for the picture.
    pub(crate) fn caption(&self) -> String {
        let Self { processor, cores, rounds, .. } = self;
        format!(
            "Medians of {rounds} alternating rounds; thin lines: spread; dashed lines: stretch goals. Server and load on a \
             core each: {processor}, {cores} cores."
        )
    }

    /// A summary on one line.
    pub(crate) fn summary(&self) -> String {
        let Self { processor, cores, kernel, fdatasync_us, rounds, seconds_per_turn, peers } = self;
        let peers = peers.iter().map(|(name, version)| match version {
            Some(version) => format!("{name} {version}"),
            None => format!("{name} is missing"),
        });
        format!(
            "{processor}, {cores} cores, Linux {kernel}, fdatasync {fdatasync_us:.0} µs; {rounds} rounds of \
             {seconds_per_turn} s; {}",
            peers.collect::<Vec<_>>().join(", ")
        )
    }
}

fn fdatasync_us(folder: &Path) -> Result<f64> {
    use std::os::unix::fs::FileExt;
    let path = folder.join("fdatasync.tmp");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all_at(&vec![1; SYNC_BYTES * SYNCS], 0)?;
    file.sync_all()?;
    let mut times = Vec::new();
    for turn in 0..SYNCS {
        let began = Instant::now();
        file.write_all_at(&[2; SYNC_BYTES], (turn * SYNC_BYTES) as u64)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    Ok(median(&times))
}
