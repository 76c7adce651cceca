//! Arguments of `restante request` and `reply`.

use std::time::Duration;

use clap::Args;
use restante_client::Address;
use uuid::Uuid;

use super::{push::BodyArgs, value::seconds};

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Destination address: namespace/name
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    /// Address to receive the reply at, of a channel that no other requester uses
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) reply_to: Address,
    /// Time-out for sending the request and receiving the reply, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Do not escape control characters (\x1b, \u{9b}) on a terminal. Files and pipes always get the exact bytes
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplyArgs {
    #[command(flatten)]
    pub(crate) body: BodyArgs,
    /// Address to send the reply to: the request's Reply-To
    #[arg(long, env = "RESTANTE_REPLY_TO", value_name = "ADDRESS")]
    pub(crate) to: Address,
    /// Correlation-Id of the request
    #[arg(long, env = "RESTANTE_CORRELATION_ID", value_name = "ID")]
    pub(crate) correlation_id: String,
    /// Message-Id of the request, by which the broker recognises a repeated reply
    #[arg(long, env = "RESTANTE_MESSAGE_ID", value_name = "ID")]
    pub(crate) request: Option<Uuid>,
}
