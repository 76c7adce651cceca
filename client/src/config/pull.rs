//! Arguments of `restante pull`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;
use restante_client::Address;

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Source address: namespace/name
    pub(crate) address: Address,
    /// How long to wait for a message; the channel's default if not given, limited to the channel's maximum
    #[arg(long, short = 'w', value_name = "SECONDS")]
    pub(crate) wait: Option<u32>,
    /// Lease duration; the channel's default if not given. The lease is renewed while the message is being processed
    #[arg(long, short = 'l', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lease: Option<u32>,
    /// Pull again after every message and every time-out response, until SIGINT or SIGTERM; exit code 0 then
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// Write to this file instead of standard output; append to it with --follow
    #[arg(long, short = 'O', value_name = "FILE", conflicts_with = "exec")]
    pub(crate) output_file: Option<PathBuf>,
    /// Do not escape control characters (\x1b, \u{9b}) on a terminal. Files and pipes always get the exact bytes
    #[arg(long, conflicts_with_all = ["exec", "output_file"])]
    pub(crate) raw: bool,
    /// Write a newline after each message, for `push --lines`
    #[arg(long, conflicts_with = "exec")]
    pub(crate) lines: bool,
    /// Receive up to this number of messages with one request, 1 to 1000, and settle them together
    #[arg(long, value_name = "MESSAGES", conflicts_with_all = ["exec", "no_settle", "post"],
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max: Option<u32>,
    /// Number of concurrent commands, 1 to 1000, each with its own message
    #[arg(long, value_name = "COMMANDS", default_value_t = 1, requires_all = ["exec", "follow"],
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) workers: u32,
    /// Exit code of an --exec command that rejects its message, which becomes a dead letter
    #[arg(long, value_name = "CODE", requires = "exec", value_parser = clap::value_parser!(i32).range(1..=255))]
    pub(crate) reject_on: Option<i32>,
    /// Leave the message leased and print the lease token: to standard error, or to standard output with -O
    #[arg(long, conflicts_with_all = ["exec", "follow"])]
    pub(crate) no_settle: bool,
    /// Retry permanent errors as well, for instance if the channel does not exist yet
    #[arg(long, requires = "follow")]
    pub(crate) retry_all_errors: bool,
    /// Pull by POST instead of GET, for proxies that cache or repeat a GET
    #[arg(long)]
    pub(crate) post: bool,
    /// Report each time-out response, repeated request and other event on standard error
    #[arg(long, short = 'v')]
    pub(crate) verbose: bool,
    /// Run a command for each message, with the body on its standard input. It has RESTANTE_MESSAGE_ID,
    /// RESTANTE_DELIVERIES, RESTANTE_CONTENT_TYPE and RESTANTE_GROUP in its environment, and for a request also
    /// RESTANTE_REPLY_TO and RESTANTE_CORRELATION_ID. Exit code 0 settles the message, the code of --reject-on rejects
    /// it, any other code releases it. Must be the last option: everything after it belongs to the command
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) exec: Option<Vec<OsString>>,
}
