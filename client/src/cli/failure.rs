//! Errors of commands and their exit codes.

use std::{io, io::Write, path::PathBuf, process::ExitCode};

use restante_client::{
    Address, HeaderError, OptionsError, ReceiveError, RequestError, RequestReplyError, SendError, SettleError,
};
use restante_wire::terminal;

use crate::exit::Exit;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("failed to send: {0}")]
    Send(#[from] SendError),
    #[error("failed to send line {line}: {source}; messages sent before it: {sent}")]
    SendLine { line: usize, sent: usize, source: SendError },
    #[error("failed to send {count} messages; messages sent: {sent}; first error: {first}")]
    SendBatch { count: usize, sent: usize, first: SendError },
    #[error(
        "line {line} is invalid: {reason}; write it like {{\"content\": \"seven bolts\"}}; messages sent before it: {sent}"
    )]
    Item { line: usize, sent: usize, reason: String },
    #[error("{0}")]
    Request(RequestReplyError),
    #[error("failed to peek at the messages of {address}: {source}")]
    Peek { address: Address, source: RequestError },
    #[error("the control API failed: {0}")]
    Control(RequestError),
    #[error("failed to receive: {0}")]
    Receive(#[from] ReceiveError),
    #[error("{0}")]
    Lease(#[from] SettleError),
    #[error("the message {id} was written but not settled, and may be delivered again: {source}")]
    Settle { id: String, source: SettleError },
    #[error("failed to read the statistics of the channel {channel}: {source}")]
    Channel { channel: String, source: RequestError },
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is too large: it exceeds the limit of a message, {max} bytes", path = path.display())]
    TooLarge { path: PathBuf, max: u64 },
    #[error("cannot write to {what}: {source}; the message is not settled")]
    Write { what: String, source: io::Error },
    #[error("cannot run {command:?}: {source}; the message was released")]
    Run { command: String, source: io::Error },
    #[error("cannot format the output: {0}")]
    Format(String),
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

impl Failure {
    /// The failure's exit code. The match is exhaustive, so a new failure must choose one.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Options(_) | Self::Header(_) => Exit::Usage,
            Self::Send(error)
            | Self::SendLine { source: error, .. }
            | Self::SendBatch { first: error, .. }
            | Self::Request(RequestReplyError::Send(error)) => of_send(error),
            Self::Receive(error) | Self::Request(RequestReplyError::Receive { source: error, .. }) => {
                of_receive(error)
            }
            Self::Request(RequestReplyError::NoReply { .. }) => Exit::TimedOut,
            Self::Lease(error) | Self::Settle { source: error, .. } => match error {
                SettleError::Failed(error) => error.as_ref().map_or(Exit::Unreachable, of_request),
                SettleError::Expired
                | SettleError::Superseded
                | SettleError::Released
                | SettleError::Settled
                | SettleError::Unknown
                | SettleError::ChannelDeleted => Exit::Refused,
            },
            Self::Channel { source, .. } | Self::Peek { source, .. } | Self::Control(source) => {
                of_request(source)
            }
            Self::Item { .. }
            | Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Write { .. }
            | Self::Run { .. }
            | Self::Format(_)
            | Self::Start(_) => Exit::Failure,
        }
    }
}

fn of_send(error: &SendError) -> Exit {
    match error {
        SendError::Failed(error) => of_request(error),
        SendError::DeadlinePassed { .. } => Exit::Unreachable,
    }
}

fn of_receive(error: &ReceiveError) -> Exit {
    match error {
        ReceiveError::Failed(error) => of_request(error),
        ReceiveError::Cancelled => Exit::Interrupted,
        ReceiveError::DeadlinePassed(_) => Exit::Unreachable,
    }
}

/// A temporary refusal, like a full channel, was retried until the deadline, so it has the deadline's exit code.
fn of_request(error: &RequestError) -> Exit {
    match error {
        error if error.is_retryable() => Exit::Unreachable,
        RequestError::Refused { .. } | RequestError::NotABroker { .. } => Exit::Refused,
        RequestError::Unreachable { .. } | RequestError::NoAnswer { .. } | RequestError::Untrusted { .. } => {
            Exit::Unreachable
        }
    }
}

/// Reports a failure on standard error.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    say(&format!("error: {failure}"));
    failure.exit().into()
}

/// Prints one line on standard error, with control characters escaped. Errors are ignored, as there is no place to
/// report them.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "restante: {}", terminal::line(line));
}
