//! Output of a run: results.json and machine.json for programs, a table for people.

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

/// File with the list of rows.
pub(crate) const RESULTS: &str = "results.json";
/// File with the machine of the run.
pub(crate) const MACHINE: &str = "machine.json";

/// Writes a JSON file.
pub(crate) fn write(folder: &Path, name: &str, what: &(impl Serialize + ?Sized)) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, serde_json::to_string_pretty(what)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a JSON file of an earlier run.
pub(crate) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let text =
        fs::read(&path).with_context(|| format!("cannot read {}; run `make bench` first", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is invalid or from another version", path.display()))
}

/// Prints the results of a run.
pub(crate) fn show(machine: &machine::Machine, rows: &[Row], folder: &Path) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{}\n", machine.summary())?;
    table::write(&mut out, rows)?;
    writeln!(out, "\n{}", folder.join(RESULTS).display())?;
    Ok(())
}

/// Prints the progress of a run on standard error.
pub(crate) fn progress(line: &str) {
    // The run continues if standard error is closed: the results are in the file.
    let _ = writeln!(io::stderr(), "{line}");
}
