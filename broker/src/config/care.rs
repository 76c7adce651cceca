//! Arguments of the commands for data care.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What every command says of its end.
const STATUS: &str =
    "Exit status: 0 all is well; 1 something is damaged, and was told of; 2 it could not be done.";

/// What to do with a data folder, instead of running a broker on it.
#[derive(Debug, Clone, Subcommand)]
pub enum CareCommand {
    /// Tell what is in a data folder, what is damaged, and what can be saved; changes nothing
    #[command(after_help = STATUS)]
    Check(CheckArguments),
    /// Write the messages of a data folder as JSON, one a line, past any damage; changes nothing
    #[command(after_help = STATUS)]
    Dump(DumpArguments),
}

/// Arguments of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// The data folder; no broker may run on it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// For programs: one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `dump`.
#[derive(Debug, Clone, Args)]
pub struct DumpArguments {
    /// The data folder; no broker may run on it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Only the messages of this channel
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub channel: Option<String>,
    /// The log's raw records with their places, instead of the messages
    #[arg(long, conflicts_with = "channel")]
    pub records: bool,
}
