//! Arguments of `restante push`.

use std::path::PathBuf;

use clap::Args;
use restante_client::Address;

use super::value::header;

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Destination address: namespace/name
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    /// Key by which the broker recognises a repeated push; random if not given. With --lines or --batch, the line
    /// number is added to it
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Message group. At most one message of a group is leased at a time
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Delay before the first delivery
    #[arg(long, value_name = "SECONDS")]
    pub(crate) delay: Option<u32>,
    /// Time to live, after which the message expires
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ttl: Option<u32>,
    /// How long each request waits for room in a full channel, first come, first served
    #[arg(long, value_name = "SECONDS", conflicts_with = "batch")]
    pub(crate) wait_for_room: Option<u32>,
    /// Send each line as a message. --deadline applies to each line
    #[arg(long)]
    pub(crate) lines: bool,
    /// Send up to 1000 messages per request, and continue after a refused one. Each line is a message in JSON, like
    /// {"content": "seven bolts", "group": "g"}, or with --lines a body. The other options apply to every message,
    /// --deadline to each request
    #[arg(long)]
    pub(crate) batch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BodyArgs {
    /// File with the body; `-`, the default, is standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Media type of the body, like application/json; delivered with it
    #[arg(long, short = 't', value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Header to deliver with the message, like 'Meta-Colour: red'; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
}
