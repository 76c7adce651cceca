//! Arguments of `restante channel`, `peek` and `dead-letters`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use restante_client::{Address, PeekState};

use super::value::channel;

#[derive(Debug, Args)]
pub(crate) struct ChannelArgs {
    /// The channels: namespace/name
    #[arg(required = true, value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) channels: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PeekArgs {
    /// Messages in this state
    #[arg(long, short = 's', value_enum, default_value_t = State::Ready)]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The source: namespace/name
    pub(crate) address: Address,
    /// How many at the most
    #[arg(long, value_name = "MESSAGES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: u32,
    /// Go on where an earlier list ended, by what it printed last
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Look at the dead letters of a source wherever they lie, those of others that lie in it, and why they are there
    List(ListArgs),
    /// Make dead letters ready again where they came from, oldest first, with a delivery count of zero
    Redrive(RedriveArgs),
    /// Take the dead letters away for ever
    Purge(PurgeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// The channel: namespace/name
    #[arg(value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) channel: (String, String),
    /// How many at the most; all that are there now without it
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// The channel that they go to, instead of the one that gave each up
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) to: Option<(String, String)>,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// The channel: namespace/name
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
    /// The base URL of the broker's control port
    #[arg(long, env = "RESTANTE_CONTROL_URL", value_name = "URL", default_value = "http://127.0.0.1:8082")]
    pub(crate) control_url: String,
    /// The file with the control port's token, the same as the broker's
    #[arg(long, env = "RESTANTE_CONTROL_TOKEN_FILE", value_name = "FILE")]
    pub(crate) control_token_file: PathBuf,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormatArgs {
    /// The form
    #[arg(long, short = 'o', value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

impl FormatArgs {
    /// Whether people read it.
    pub(crate) fn is_table(self) -> bool {
        self.output == Output::Table
    }
}

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns, for people
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// A state of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// What the next pulls would get
    Ready,
    /// What receivers have
    Leased,
    /// What waits for its delay or back-off
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
