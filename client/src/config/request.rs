//! Arguments of `restante request` and `reply`.

use std::time::Duration;

use clap::Args;
use restante_client::Address;
use uuid::Uuid;

use super::{push::BodyArgs, value::seconds};

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// The destination: namespace/name
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    /// Where the reply is awaited: an address of a channel that this requester has for itself
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) reply_to: Address,
    /// How long sending and waiting for the reply may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Write the reply to a terminal as it is. Without it, what a terminal would obey is escaped there (\x1b, \u{9b}); files and
    /// pipes always get the bytes
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplyArgs {
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    /// Where the reply is awaited: the request's Reply-To
    #[arg(long, env = "RESTANTE_REPLY_TO", value_name = "ADDRESS")]
    pub(crate) to: Address,
    /// Which request this answers: its Correlation-Id
    #[arg(long, env = "RESTANTE_CORRELATION_ID", value_name = "ID")]
    pub(crate) correlation_id: String,
    /// The request's Message-Id, by which a second reply to it is recognised
    #[arg(long, env = "RESTANTE_MESSAGE_ID", value_name = "ID")]
    pub(crate) request: Option<Uuid>,
}
