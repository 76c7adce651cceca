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
    /// Make a new data folder with everything that can be read of a damaged one, which stays as it is
    #[command(after_help = STATUS)]
    Salvage(SalvageArguments),
    /// Take a backup of a broker that runs, by its control port: everything that was acknowledged before it began
    #[command(after_help = STATUS)]
    Backup(BackupArguments),
    /// Make a data folder from a backup, whole or not at all
    #[command(after_help = STATUS)]
    Restore(RestoreArguments),
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
    /// Only the messages of this channel, or of those of this name
    #[arg(long, value_name = "NAMESPACE/NAME|UID")]
    pub channel: Option<String>,
    /// The log's raw records with their places, instead of the messages
    #[arg(long, conflicts_with = "channel")]
    pub records: bool,
}

/// Arguments of `backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArguments {
    /// The base URL of the broker's control port
    #[arg(long, env = "RESTANTE_CONTROL_URL", value_name = "URL", default_value = "http://127.0.0.1:8082")]
    pub control_url: String,
    /// The file with the control port's token, the same as the broker's
    #[arg(long, env = "RESTANTE_CONTROL_TOKEN_FILE", value_name = "FILE")]
    pub control_token_file: PathBuf,
    /// The file to write, in the place of one that is there, once it is whole; standard output without it
    #[arg(long, short = 'O', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArguments {
    /// The backup; - is standard input
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// The data folder to make: one that does not exist, or an empty one
    #[arg(value_name = "NEW_DIR")]
    pub folder: PathBuf,
    /// Where the folder goes that has the name of the new one now, once that is whole
    #[arg(long, value_name = "OLD_DIR")]
    pub move_old_to: Option<PathBuf>,
}

/// Arguments of `salvage`.
#[derive(Debug, Clone, Args)]
pub struct SalvageArguments {
    /// The damaged data folder; no broker may run on it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The data folder to make: one that does not exist, or an empty one; with --move-old-to it may be DIR
    #[arg(value_name = "NEW_DIR")]
    pub new_folder: PathBuf,
    /// Where the folder goes that has the name of the new one now, once that is whole
    #[arg(long, value_name = "OLD_DIR")]
    pub move_old_to: Option<PathBuf>,
}
