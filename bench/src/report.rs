//! What a run gives: results.json for programs, a table for people.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::statistics::{Spread, median};

/// How often the disk is asked.
const SYNCS: usize = 200;
/// What is written before each: a group of some pushes.
const SYNC_BYTES: usize = 16 * 1024;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
}

/// Where it ran.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    /// The median of 16 KiB written over and synced, in microseconds.
    fdatasync_us: f64,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// What the result is to reach. The design's.
    pub(crate) goal: Option<f64>,
    pub(crate) result: (String, Spread),
    /// What it is made of.
    pub(crate) details: Vec<(String, Spread)>,
}

impl Machine {
    /// The one that this runs on, with the disk that this folder is on.
    pub(crate) fn here(folder: &Path) -> Result<Self> {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = information.lines().find(|line| line.starts_with("model name"));
        let processor = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned();
        let cores = thread::available_parallelism()?.get();
        Ok(Self { processor, cores, fdatasync_us: fdatasync_us(folder)? })
    }
}

fn fdatasync_us(folder: &Path) -> Result<f64> {
    use std::os::unix::fs::FileExt;
    let path = folder.join("fdatasync.tmp");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
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

impl Report {
    /// Writes both.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("results.json");
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("{} cannot be written", path.display()))?;
        let mut out = io::stdout().lock();
        let Machine { processor, cores, fdatasync_us } = &self.machine;
        writeln!(out, "\n{processor}, {cores} cores, fdatasync {fdatasync_us:.0} µs\n")?;
        writeln!(out, "| row | | median | min | max | goal |\n|---|---|---|---|---|---|")?;
        for Row { name, goal, result, details } in &self.rows {
            let goal = goal.map(|goal| goal.to_string()).unwrap_or_default();
            line(&mut out, name, result, &goal)?;
            for detail in details {
                line(&mut out, "", detail, "")?;
            }
        }
        writeln!(out, "\n{}", path.display())?;
        Ok(())
    }
}

fn line(out: &mut impl Write, name: &str, (what, spread): &(String, Spread), goal: &str) -> io::Result<()> {
    let Spread { median, min, max } = spread;
    writeln!(out, "| {name} | {what} | {median:.3} | {min:.3} | {max:.3} | {goal} |")
}

/// Says how far a run is.
pub(crate) fn said(line: &str) {
    // A run whose listener is gone goes on: its results are in the file.
    let _ = writeln!(io::stderr(), "{line}");
}
