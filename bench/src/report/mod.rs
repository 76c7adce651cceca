//! What a run gives: results.json and machine.json for programs, a table for people.

pub(crate) mod machine;
pub(crate) mod row;
pub(crate) mod table;

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};

use self::row::Row;

/// The list of rows.
pub(crate) const RESULTS: &str = "results.json";
/// Where they were measured.
pub(crate) const MACHINE: &str = "machine.json";

/// Writes something for programs.
pub(crate) fn write(folder: &Path, name: &str, what: &(impl Serialize + ?Sized)) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, serde_json::to_string_pretty(what)? + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Reads what a run before has written.
pub(crate) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let text = fs::read(&path)
        .with_context(|| format!("{} cannot be read: run `make bench` first", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not of this version", path.display()))
}

/// Shows the whole run.
pub(crate) fn show(machine: &machine::Machine, rows: &[Row], folder: &Path) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{}\n", machine.summary())?;
    table::write(&mut out, rows)?;
    writeln!(out, "\n{}", folder.join(RESULTS).display())?;
    Ok(())
}

/// Says how far a run is.
pub(crate) fn progress(line: &str) {
    // A run whose listener is gone goes on: its results are in the file.
    let _ = writeln!(io::stderr(), "{line}");
}
