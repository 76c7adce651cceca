//! `restante push`: the transmission module on the command line.

use std::time::Duration;

use restante_client::{
    Client, HeaderError, Item, Message, Receipt, RequestError, SendOptions, Sender,
    sender::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX},
};
use restante_wire::{batch::ItemHead, json};
use tokio::io::{AsyncWrite, stdout};

use super::{
    failure::{Failure, say},
    input::Input,
    output, signal,
};
use crate::config::{BodyArgs, PushArgs};
use crate::exit::Exit;

/// Sends messages, and prints the Message-Id of each stored one.
pub(crate) async fn run(client: &Client, args: PushArgs, deadline: Duration) -> Result<Exit, Failure> {
    let sending = async {
        let sender = Sender::new(client, args.address.clone()).on_retry(retrying);
        let input = Input::open(args.body.file.clone()).await?;
        match (args.batch, args.lines) {
            (true, _) => batches(&sender, &args, input, deadline).await,
            (false, true) => lines(&sender, &args, input, deadline).await,
            (false, false) => read_all(&sender, &args, input, deadline).await,
        }
    };
    tokio::select! {
        sent = sending => sent.map(|()| Exit::Ok),
        () = signal::first() => Ok(Exit::Interrupted),
    }
}

/// Reports a temporary error.
pub(crate) fn retrying(error: &RequestError, delay: Duration) {
    say(&format!("{error}; retrying in {:.1} s", delay.as_secs_f64()));
}

async fn read_all(sender: &Sender, args: &PushArgs, input: Input, deadline: Duration) -> Result<(), Failure> {
    let message = message(args, input.read_all().await?.into(), None)?;
    print(&mut stdout(), &sender.send_with(message, options(args, deadline)).await?).await
}

/// Sends each line as a message, one after the other, so that the channel stores them in the order of the lines.
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
        let message = message(args, line.into(), Some(number))?;
        let receipt = sender.send_with(message, options(args, deadline)).await;
        let receipt = receipt.map_err(|source| Failure::SendLine { line: number, sent, source })?;
        print(&mut stdout, &receipt).await?;
        sent = number;
    }
    Ok(())
}

/// Sends lines in batches. A refused message is reported, and the others are sent.
async fn batches(
    sender: &Sender,
    args: &PushArgs,
    mut input: Input,
    deadline: Duration,
) -> Result<(), Failure> {
    let mut stdout = stdout();
    let (mut line, mut sent, mut refused) = (0, 0, Vec::new());
    loop {
        let (mut numbers, mut messages, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut more = true;
        while messages.len() < BATCH_ITEMS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(text) = input.line().await? else {
                more = false;
                break;
            };
            line += 1;
            bytes += text.len() as u64;
            if args.lines || !text.trim_ascii().is_empty() {
                numbers.push(line);
                messages.push(message(args, item(args, text, line, sent)?, Some(line))?);
            }
        }
        let results = sender.send_batch(messages, Some(deadline)).await;
        for (line, result) in numbers.into_iter().zip(results) {
            match result {
                Ok(receipt) => {
                    print(&mut stdout, &receipt).await?;
                    sent += 1;
                }
                Err(source) => {
                    say(&format!("failed to send line {line}: {source}"));
                    refused.push(source);
                }
            }
        }
        if !more {
            break;
        }
    }
    let count = refused.len();
    refused.into_iter().next().map_or(Ok(()), |first| Err(Failure::SendBatch { count, sent, first }))
}

/// Makes a message of a line: with `--lines` the line is the body, otherwise it is JSON.
fn item(args: &PushArgs, text: Vec<u8>, line: usize, sent: usize) -> Result<Message, Failure> {
    if args.lines {
        return Ok(text.into());
    }
    let refused = |reason: String| Failure::Item { line, sent, reason };
    let item: Item = json::read(&text).map_err(|fault| refused(fault.to_string()))?;
    if let Some((field, option)) = given_in_both_places(args, &item.head) {
        return Err(refused(format!(
            "the field {field} and the option {option} are both given; give one of them"
        )));
    }
    Message::try_from(item).map_err(|error| refused(error.to_string()))
}

/// A field of a line that is also set by an option for all lines: one of the two would have no effect.
fn given_in_both_places(args: &PushArgs, head: &ItemHead) -> Option<(&'static str, &'static str)> {
    [
        ("contentType", head.content_type.is_some(), "--content-type", args.body.content_type.is_some()),
        (
            "idempotencyKey",
            head.idempotency_key.is_some(),
            "--idempotency-key",
            args.idempotency_key.is_some(),
        ),
        ("group", head.group.is_some(), "--group", args.group.is_some()),
        ("delaySeconds", head.delay_seconds.is_some(), "--delay", args.delay.is_some()),
        ("ttlSeconds", head.ttl_seconds.is_some(), "--ttl", args.ttl.is_some()),
    ]
    .into_iter()
    .find_map(|(field, in_line, option, in_args)| (in_line && in_args).then_some((field, option)))
}

fn options(args: &PushArgs, deadline: Duration) -> SendOptions {
    SendOptions { deadline: Some(deadline), room_wait_seconds: args.wait_for_room }
}

/// Applies the arguments to a message. With several lines, the line number becomes part of the idempotency key.
fn message(args: &PushArgs, message: Message, line: Option<usize>) -> Result<Message, HeaderError> {
    let mut message = with_body_args(&args.body, message)?;
    if let Some(key) = &args.idempotency_key {
        message = message.idempotency_key(match line {
            Some(line) => format!("{key}-{line}"),
            None => key.clone(),
        })?;
    }
    if let Some(group) = &args.group {
        message = message.group(group)?;
    }
    if let Some(seconds) = args.delay {
        message = message.delay(seconds);
    }
    if let Some(seconds) = args.ttl {
        message = message.time_to_live(seconds);
    }
    Ok(message)
}

/// Applies the media type and the headers of the arguments to a message.
pub(crate) fn with_body_args(args: &BodyArgs, mut message: Message) -> Result<Message, HeaderError> {
    if let Some(content_type) = &args.content_type {
        message = message.once("Content-Type")?.content_type(content_type)?;
    }
    args.header.iter().try_fold(message, |message, (name, value)| message.once(name)?.header(name, value))
}

pub(crate) async fn print(stdout: &mut (impl AsyncWrite + Unpin), receipt: &Receipt) -> Result<(), Failure> {
    output::write(stdout, format!("{}\n", receipt.message_id).as_bytes(), "standard output").await
}
