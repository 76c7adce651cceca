//! Data care: what people do with a data folder besides running a broker on it. Looking at it, saving what is readable of
//! a damaged one, and restoring a backup.
//!
//! Nothing here changes a folder that it reads.

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

use crate::{config::CareCommand, signals};

/// How a command ended that could do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// All is well.
    Sound,
    /// Something is damaged, and was told of.
    Damaged,
}

/// Runs a command. 0: all is well; 1: something is damaged, and was told of; 2: it could not be done.
///
/// A signal ends it wherever it is, with 128 and the signal's number: nothing here is lost by that.
pub fn run(command: CareCommand) -> ExitCode {
    let outcome = signals::done_or_stopped("care", move || match command {
        CareCommand::Check(arguments) => check::run(&arguments),
        CareCommand::Dump(arguments) => dump::run(&arguments),
        CareCommand::Backup(arguments) => backup::run(&arguments),
        CareCommand::Salvage(arguments) => salvage::run(&arguments),
        CareCommand::Restore(arguments) => restore::run(&arguments),
    });
    match outcome {
        Ok(Ok(Ok(Verdict::Sound))) => ExitCode::SUCCESS,
        Ok(Ok(Ok(Verdict::Damaged))) => ExitCode::from(1),
        Ok(Ok(Err(error))) => failed(&error),
        Ok(Err(stop)) => {
            say(&format!("restante-broker: told to stop by {} before it was done", stop.name()));
            stop.exit_code()
        }
        Err(error) => failed(&format!("failed to start a thread: {error}")),
    }
}

fn failed(error: &dyn Display) -> ExitCode {
    say(&format!("restante-broker: {error}"));
    ExitCode::from(2)
}

/// Says something on standard error.
fn say(text: &str) {
    // Nobody is left to be told when it is closed.
    let _ = writeln!(io::stderr().lock(), "{}", terminal::lines(text));
}

/// Standard output, for what a data folder holds: names and contents are of strangers.
fn stdout(form: Form) -> Escaped<BufWriter<StdoutLock<'static>>> {
    Escaped::new(BufWriter::new(io::stdout().lock()), form)
}

/// What `check` says of a data folder: whether it is sound, or why nothing can be said.
#[cfg(test)]
pub(crate) fn is_sound(folder: &std::path::Path) -> Result<bool, String> {
    let view = view::FolderView::of(folder).map_err(|error| error.to_string())?;
    Ok(report::Report::of(&view).sound)
}
