//! Arguments of `restante channel`, `peek` and `dead-letters`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use restante_client::{Address, PeekState};

use super::value::channel;

#[derive(Debug, Args)]
pub(crate) struct ChannelArgs {
    /// Channels, as namespace/name
    #[arg(required = true, value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) channels: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PeekArgs {
    /// State of the messages to show
    #[arg(long, short = 's', value_enum, default_value_t = State::Ready)]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Source address: namespace/name
    pub(crate) address: Address,
    /// Maximum number of messages
    #[arg(long, value_name = "MESSAGES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: u32,
    /// Continue after an earlier list, with the cursor that it printed
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters with their causes: those of this channel, also after a move to its dead-letter channel, and
    /// those of other channels stored here
    List(ListArgs),
    /// Move dead letters back to the channel they came from, oldest first, ready and with a delivery count of zero
    Redrive(RedriveArgs),
    /// Delete the channel's dead letters permanently
    Purge(PurgeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// Channel: namespace/name
    #[arg(value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) channel: (String, String),
    /// Maximum number of dead letters to move; all current ones by default
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Move the dead letters to this channel instead of the channels they came from
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) to: Option<(String, String)>,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// Channel: namespace/name
    #[arg(value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) channel: (String, String),
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// How to reach the broker's control API.
#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    /// Base URL of the broker's control port
    #[arg(long, env = "RESTANTE_CONTROL_URL", value_name = "URL", default_value = "http://127.0.0.1:8082")]
    pub(crate) control_url: String,
    /// File with the control token, the same as the broker's
    #[arg(long, env = "RESTANTE_CONTROL_TOKEN_FILE", value_name = "FILE")]
    pub(crate) control_token_file: PathBuf,
}

/// Output format.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormatArgs {
    /// Output format
    #[arg(long, short = 'o', value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

impl FormatArgs {
    /// Whether the output is a table for people.
    pub(crate) fn is_table(self) -> bool {
        self.output == Format::Table
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Messages that can be pulled now
    Ready,
    /// Messages under a lease
    Leased,
    /// Messages in their delay or back-off
    Delayed,
    /// Dead letters
    Dead,
}

impl From<State> for PeekState {
    fn from(state: State) -> Self {
        match state {
            State::Ready => Self::Ready,
            State::Leased => Self::Leased,
            State::Delayed => Self::Delayed,
            State::Dead => Self::Dead,
        }
    }
}
