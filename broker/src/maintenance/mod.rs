//! Maintenance of a data folder without a broker: inspection, salvage of the readable part of a damaged folder, backup
//! and restore.
//!
//! No command changes a folder that it reads.

mod backup;
mod check;
mod damage;
mod destination;
mod dump;
mod error;
mod logs;
mod message;
mod new_folder;
mod report;
mod restore;
mod salvage;
mod text;
mod view;

use std::{
    fmt::Display,
    io::{self, BufWriter, StdoutLock, Write as _},
    process::ExitCode,
};

pub use backup::BackupError;
pub use error::MaintenanceError;
use restante_wire::terminal::{self, Escaped, Form};

use crate::{config::MaintenanceCommand, signals};

/// The result of a command that completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// No damage was found.
    Healthy,
    /// Damage was found and reported.
    Damaged,
}

/// Runs a command. Exit codes: 0 complete and without damage, 1 damage found and reported, 2 failed.
///
/// A signal ends the command at any point with 128 plus the signal's number. Nothing is lost by that.
pub fn run(command: MaintenanceCommand) -> ExitCode {
    let outcome = signals::done_or_stopped("maintenance", move || match command {
        MaintenanceCommand::Check(arguments) => check::run(&arguments),
        MaintenanceCommand::Dump(arguments) => dump::run(&arguments),
        MaintenanceCommand::Backup(arguments) => backup::run(&arguments),
        MaintenanceCommand::Salvage(arguments) => salvage::run(&arguments),
        MaintenanceCommand::Restore(arguments) => restore::run(&arguments),
    });
    match outcome {
        Ok(Ok(Ok(Verdict::Healthy))) => ExitCode::SUCCESS,
        Ok(Ok(Ok(Verdict::Damaged))) => ExitCode::from(1),
        Ok(Ok(Err(error))) => failed(&error),
        Ok(Err(stop)) => {
            say(&format!("restante-broker: interrupted by {} before it was done", stop.name()));
            stop.exit_code()
        }
        Err(error) => failed(&format!("failed to start a thread: {error}")),
    }
}

fn failed(error: &dyn Display) -> ExitCode {
    say(&format!("restante-broker: {error}"));
    ExitCode::from(2)
}

/// Prints a line on standard error.
fn say(text: &str) {
    // If standard error is closed, there is nobody left to inform.
    let _ = writeln!(io::stderr().lock(), "{}", terminal::lines(text));
}

/// Standard output, escaped: names and contents come from strangers.
fn stdout(form: Form) -> Escaped<BufWriter<StdoutLock<'static>>> {
    Escaped::new(BufWriter::new(io::stdout().lock()), form)
}

/// Whether `check` finds no damage in a data folder, or why the folder cannot be inspected.
#[cfg(test)]
pub(crate) fn is_healthy(folder: &std::path::Path) -> Result<bool, String> {
    let view = view::FolderView::of(folder).map_err(|error| error.to_string())?;
    Ok(report::Report::of(&view).healthy)
}
