//! Arguments of `restante push`.

use std::path::PathBuf;

use clap::Args;
use restante_client::Address;

use super::value::header;

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The destination: namespace/name
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    /// The key by which the broker recognises a repeat; with --lines or --batch, the line's number is added. Random
    /// without it
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// The message's group: of a group at most one message is leased at a time
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Seconds before which nobody gets the message
    #[arg(long, value_name = "SECONDS")]
    pub(crate) delay: Option<u32>,
    /// Seconds after which the message expires
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ttl: Option<u32>,
    /// Where the channel is full, seconds that each request waits for room, first come first served
    #[arg(long, value_name = "SECONDS", conflicts_with = "batch")]
    pub(crate) wait_for_room: Option<u32>,
    /// Each line is a message; --deadline is each line's own
    #[arg(long)]
    pub(crate) lines: bool,
    /// Send up to 1000 messages by each request, and go on after one that is refused. Each line is a message as JSON, like
    /// {"content": "seven bolts", "group": "g"}; with --lines, it is the content. The other options hold for every
    /// message, --deadline for each request
    #[arg(long)]
    pub(crate) batch: bool,
}

/// What is sent, and what is said of it.
#[derive(Debug, Args)]
pub(crate) struct BodyArgs {
    /// The content; `-` or nothing is standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// What the content is, like application/json; handed back with it
    #[arg(long, short = 't', value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// A header that travels with the message, like 'Meta-Colour: red'; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
}
