//! Arguments of the maintenance commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

// The last lines of the commands' help.
const CHECK_STATUS: &str = "Exit codes: 0 healthy; 1 damage found and reported; 2 failed; 130 or 143 interrupted by SIGINT or SIGTERM.";
const DUMP_STATUS: &str = "Exit codes: 0 complete; 1 complete except for damage; 2 failed; 130 or 143 interrupted by SIGINT or SIGTERM.";
const SALVAGE_STATUS: &str = "Exit codes: 0 created, and nothing was damaged; 1 created, without the damage that is reported; 2 failed; 130 or \
     143 interrupted by SIGINT or SIGTERM.";
const BACKUP_STATUS: &str = "Exit codes: 0 complete; 1 complete, with damage that is on the broker's disk; 2 failed; 130 or 143 interrupted by \
     SIGINT or SIGTERM.";
const RESTORE_STATUS: &str = "Exit codes: 0 restored; 1 restored, with damage that was in the backup; 2 failed; 130 or 143 interrupted by SIGINT \
     or SIGTERM.";

/// Command on a data folder, instead of running a broker.
#[derive(Debug, Clone, Subcommand)]
pub enum MaintenanceCommand {
    /// Inspect a data folder: report its contents, damage, and what can be salvaged; changes nothing
    #[command(after_help = CHECK_STATUS)]
    Check(CheckArguments),
    /// Write the messages of a data folder as JSON, one per line, skipping damage; changes nothing
    #[command(after_help = DUMP_STATUS)]
    Dump(DumpArguments),
    /// Create a new data folder from everything readable in a damaged one, which is not changed
    #[command(after_help = SALVAGE_STATUS)]
    Salvage(SalvageArguments),
    /// Take a backup of a running broker through its control port; it has everything acknowledged before the backup
    /// began
    #[command(after_help = BACKUP_STATUS)]
    Backup(BackupArguments),
    /// Create a data folder from a backup, completely or not at all
    #[command(after_help = RESTORE_STATUS)]
    Restore(RestoreArguments),
}

#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// Data folder; no broker may be running on it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Write one JSON object, for programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DumpArguments {
    /// Data folder; no broker may be running on it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Only messages of this channel, or of all channels with this name
    #[arg(long, value_name = "NAMESPACE/NAME|UID")]
    pub channel: Option<String>,
    /// Raw records of the log with their positions, instead of messages
    #[arg(long, conflicts_with = "channel")]
    pub records: bool,
}

#[derive(Debug, Clone, Args)]
pub struct BackupArguments {
    /// Base URL of the broker's control port
    #[arg(long, env = "RESTANTE_CONTROL_URL", value_name = "URL", default_value = "http://127.0.0.1:8082")]
    pub control_url: String,
    /// File with the control port's bearer token, the same as the broker's
    #[arg(long, env = "RESTANTE_CONTROL_TOKEN_FILE", value_name = "FILE")]
    pub control_token_file: PathBuf,
    /// File to write; replaced once the backup is complete. Without it, standard output
    #[arg(long, short = 'O', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct RestoreArguments {
    /// Backup file; - is standard input
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// Data folder to create; must not exist, or be empty
    #[arg(value_name = "NEW_DIR")]
    pub folder: PathBuf,
    /// Rename a folder that has the new folder's name to OLD_DIR, once the new one is complete
    #[arg(long, value_name = "OLD_DIR")]
    pub move_old_to: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct SalvageArguments {
    /// Damaged data folder; no broker may be running on it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Data folder to create; must not exist, or be empty. With --move-old-to it may be DIR
    #[arg(value_name = "NEW_DIR")]
    pub new_folder: PathBuf,
    /// Rename a folder that has the new folder's name to OLD_DIR, once the new one is complete
    #[arg(long, value_name = "OLD_DIR")]
    pub move_old_to: Option<PathBuf>,
}
