//! Arguments of `restante pull`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;
use restante_client::Address;

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The source: namespace/name
    pub(crate) address: Address,
    /// Seconds to wait for a message; the channel's default without it, and never more than the channel allows
    #[arg(long, short = 'w', value_name = "SECONDS")]
    pub(crate) wait: Option<u32>,
    /// Seconds that the message is kept from other receivers; it is renewed while it is being worked on
    #[arg(long, short = 'l', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lease: Option<u32>,
    /// Go on for ever: ask again after every message and every time-out. Ends with SIGINT or SIGTERM, exit code 0
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// Write to this file instead of standard output; with --follow, append to it
    #[arg(long, short = 'O', value_name = "FILE", conflicts_with = "exec")]
    pub(crate) output_file: Option<PathBuf>,
    /// Write contents to a terminal as they are. Without it, what a terminal would obey is escaped there (\x1b, \u{9b});
    /// files and pipes always get the bytes
    #[arg(long, conflicts_with_all = ["exec", "output_file"])]
    pub(crate) raw: bool,
    /// End each message with a newline, as `push --lines` takes them
    #[arg(long, conflicts_with = "exec")]
    pub(crate) lines: bool,
    /// Receive up to so many messages by one request, and settle them together
    #[arg(long, value_name = "MESSAGES", conflicts_with_all = ["exec", "no_settle", "post"],
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max: Option<u32>,
    /// Run so many commands at once, each on a message of its own
    #[arg(long, value_name = "COMMANDS", default_value_t = 1, requires_all = ["exec", "follow"],
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) workers: u32,
    /// The exit code by which a command of --exec gives its message up: to the dead letters
    #[arg(long, value_name = "CODE", requires = "exec", value_parser = clap::value_parser!(i32).range(1..=255))]
    pub(crate) reject_on: Option<i32>,
    /// Leave the message leased and print the lease: to standard error, or with -O to standard output
    #[arg(long, conflicts_with_all = ["exec", "follow"])]
    pub(crate) no_settle: bool,
    /// Go on asking where the broker refuses, for instance because the channel does not exist yet
    #[arg(long, requires = "follow")]
    pub(crate) retry_all_errors: bool,
    /// Ask by POST instead of GET, where a proxy caches or repeats a GET
    #[arg(long)]
    pub(crate) post: bool,
    /// Also tell on standard error of each time-out met and each request repeated
    #[arg(long, short = 'v')]
    pub(crate) verbose: bool,
    /// Run a command for each message: the content on its standard input, and RESTANTE_MESSAGE_ID,
    /// RESTANTE_DELIVERIES, RESTANTE_CONTENT_TYPE, RESTANTE_GROUP, and of a request RESTANTE_REPLY_TO and
    /// RESTANTE_CORRELATION_ID in its environment. Exit code 0 settles the message, that of --reject-on gives it up,
    /// anything else gives it back. Comes last: everything after it belongs to the command
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) exec: Option<Vec<OsString>>,
}
