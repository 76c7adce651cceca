//! `restante request` and `reply`.

use std::time::Duration;

use restante_client::{Client, RequestReplyError, SendOptions, Sender, request_reply::reply_key};
use tokio::io::stdout;

use super::{
    failure::{Failure, say},
    input::Input,
    output::Output,
    push::{print, retrying, with_body_args},
    signal,
};
use crate::config::{ReplyArgs, RequestArgs};
use crate::exit::Exit;

/// Sends a request and writes its reply.
pub(crate) async fn request(client: &Client, args: RequestArgs) -> Result<Exit, Failure> {
    let RequestArgs { address, body, reply_to, timeout, raw } = args;
    let replying = async {
        let message = with_body_args(&body, Input::open(body.file.clone()).await?.read_all().await?.into())?;
        // These headers are set by options, not by --header.
        let message = message.once("Reply-To")?.once("Correlation-Id")?;
        match client.request(&address, message, &reply_to, timeout).await {
            Ok(reply) => {
                Output::stdout(raw).write(&reply.body).await?;
                let id = reply.id.to_string();
                reply.settle().await.map_err(|source| Failure::Settle { id, source })?;
                Ok(Exit::Ok)
            }
            Err(error @ RequestReplyError::NoReply { .. }) => {
                say(&error.to_string());
                Ok(Exit::TimedOut)
            }
            Err(error) => Err(Failure::Request(error)),
        }
    };
    tokio::select! {
        replied = replying => replied,
        () = signal::first() => Ok(Exit::Interrupted),
    }
}

/// Sends a reply.
pub(crate) async fn reply(client: &Client, args: ReplyArgs, deadline: Duration) -> Result<Exit, Failure> {
    let ReplyArgs { body, to, correlation_id, request } = args;
    let text = Input::open(body.file.clone()).await?.read_all().await?;
    let mut message = with_body_args(&body, text.into())?
        .once("Correlation-Id")?
        .header("Correlation-Id", &correlation_id)?;
    if let Some(request) = request {
        message = message.idempotency_key(reply_key(request))?;
    }
    let options = SendOptions { deadline: Some(deadline), ..SendOptions::default() };
    let sender = Sender::new(client, to).on_retry(retrying);
    tokio::select! {
        receipt = sender.send_with(message, options) => print(&mut stdout(), &receipt?).await?,
        () = signal::first() => return Ok(Exit::Interrupted),
    }
    Ok(Exit::Ok)
}
