//! `restante push`: the transmission module on the command line.

use std::time::Duration;

use restante_client::{Client, HeaderError, Message, Receipt, SendError, SendOptions, Sender};
use tokio::io::{AsyncWrite, stdout};

use super::{
    exit::Exit,
    failure::{Failure, say},
    input::Input,
    output, signal,
};
use crate::config::PushArgs;

/// Sends, and prints a Message-Id for each message that is stored.
pub(crate) async fn run(client: &Client, args: PushArgs, deadline: Duration) -> Result<Exit, Failure> {
    let sending = async {
        let sender = Sender::new(client, args.address.clone()).on_retry(|error, delay| {
            say(&format!("{error}; trying again in {:.1} s", delay.as_secs_f64()));
        });
        let input = Input::open(args.file.clone()).await?;
        if args.lines {
            lines(&sender, &args, input, deadline).await
        } else {
            whole(&sender, &args, input, deadline).await
        }
    };
    tokio::select! {
        sent = sending => sent.map(|()| Exit::Ok),
        () = signal::first() => Ok(Exit::Interrupted),
    }
}

async fn whole(sender: &Sender, args: &PushArgs, input: Input, deadline: Duration) -> Result<(), Failure> {
    let message = message(args, input.whole().await?)?;
    let options = SendOptions { idempotency_key: args.idempotency_key.clone(), deadline: Some(deadline) };
    print(&mut stdout(), &sender.send_with(message, options).await?).await
}

/// One after the other, so that the channel holds them in the order of the lines.
async fn lines(
    sender: &Sender,
    args: &PushArgs,
    mut input: Input,
    deadline: Duration,
) -> Result<(), Failure> {
    let mut stdout = stdout();
    let mut sent = 0;
    while let Some(line) = input.line().await? {
        let number = sent + 1;
        let idempotency_key = args.idempotency_key.as_ref().map(|key| format!("{key}-{number}"));
        let options = SendOptions { idempotency_key, deadline: Some(deadline) };
        let receipt =
            sender.send_with(message(args, line)?, options).await.map_err(|source| match source {
                source @ SendError::Key(_) => Failure::Send(source),
                source => Failure::SendLine { line: number, sent, source },
            })?;
        print(&mut stdout, &receipt).await?;
        sent = number;
    }
    Ok(())
}

fn message(args: &PushArgs, content: Vec<u8>) -> Result<Message, HeaderError> {
    let mut message = Message::new(content);
    if let Some(content_type) = &args.content_type {
        message = message.content_type(content_type)?;
    }
    args.header.iter().try_fold(message, |message, (name, value)| message.header(name, value))
}

async fn print(stdout: &mut (impl AsyncWrite + Unpin), receipt: &Receipt) -> Result<(), Failure> {
    output::write(stdout, format!("{}\n", receipt.message_id).as_bytes(), "standard output").await
}
