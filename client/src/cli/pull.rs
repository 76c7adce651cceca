//! `restante pull`: the receiver module on the command line.

use std::{cell::RefCell, convert::Infallible, ffi::OsString, time::Duration};

use restante_client::{
    BatchOptions, Client, Event, HandlerError, ReceiveError, Received, Receiver, ReceiverOptions, Verdict,
    WorkOptions,
};
use restante_wire::terminal;
use tokio::{
    io::stdout,
    sync::broadcast::{self, error::RecvError},
    time::timeout,
};

use super::{
    exec,
    failure::{Failure, say},
    output::{self, Output},
    signal::Signals,
};
use crate::config::PullArgs;
use crate::exit::Exit;

/// How long releasing the remaining messages may take at the end. A reachable broker answers well within.
const LAST_RELEASE_MAX: Duration = Duration::from_secs(2);

/// Receives once or, with `--follow`, repeatedly.
pub(crate) async fn run(client: &Client, args: PullArgs, deadline: Duration) -> Result<Exit, Failure> {
    let mut options = ReceiverOptions::default();
    options.wait_seconds = args.wait;
    options.lease_seconds = args.lease;
    options.pull_by_post = args.post;
    options.retry_all_errors = args.retry_all_errors;
    options.settle_within = deadline;
    let cancel = options.cancel.clone();
    let receiver = Receiver::new(client, args.address.clone(), options);
    let (mut events, mut signals) = (receiver.events(), Signals::new());

    let work = async {
        if args.follow { follow(&receiver, &args).await } else { once(&receiver, &args, deadline).await }
    };
    let stop = async {
        signals.next().await;
        // The first signal stops pulling, and the message in progress is finished. The second signal ends that too.
        cancel.cancel();
        signals.next().await;
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = stop => Ok(Exit::Interrupted),
        never = tell(&mut events, args.verbose) => match never {},
    };
    // In any case, an unsettled message is released now instead of at the end of its lease. If the broker does not
    // answer, the lease expires.
    let _ = timeout(LAST_RELEASE_MAX, receiver.drained()).await;
    while let Ok(event) = events.try_recv() {
        tell_one(&event, args.verbose);
    }
    ended
}

async fn once(receiver: &Receiver, args: &PullArgs, deadline: Duration) -> Result<Exit, Failure> {
    let messages = match args.max {
        Some(max) => receiver.receive_batch_once(up_to(max), Some(deadline)).await?,
        None => receiver.receive_once(Some(deadline)).await?.into_iter().collect(),
    };
    if messages.is_empty() {
        return Ok(Exit::TimedOut);
    }
    if let Some(command) = &args.exec {
        return exec_each(messages, command, args.reject_on).await;
    }
    Output::new(args.output_file.clone(), false, args.raw).write(&joined(&messages, args.lines)).await?;
    if args.no_settle {
        for message in messages {
            let lease = message.into_lease();
            if args.output_file.is_some() {
                output::write(
                    &mut stdout(),
                    format!("{}\n", terminal::line(&lease)).as_bytes(),
                    "standard output",
                )
                .await?;
            } else {
                say(&format!("lease: {lease}"));
            }
        }
        return Ok(Exit::Ok);
    }
    match settle(receiver, messages).await.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(Exit::Ok),
    }
}

async fn exec_each(
    messages: Vec<Received>,
    command: &[OsString],
    reject_on: Option<i32>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    for message in messages {
        let done = exec::run(&message, command, reject_on).await?;
        let (id, failed) = (message.id, done.is_err());
        let concluded = message.apply_verdict(done.map_or_else(Verdict::from, |()| Verdict::Settle)).await;
        if let Err(error) = &concluded {
            say(&format!("the command ran on the message {id}, which may be delivered again: {error}"));
        }
        if failed || concluded.is_err() {
            exit = Exit::CommandFailed;
        }
    }
    Ok(exit)
}

async fn follow(receiver: &Receiver, args: &PullArgs) -> Result<Exit, Failure> {
    match &args.exec {
        Some(command) => follow_with(receiver, command, args).await,
        None => follow_to(receiver, Output::new(args.output_file.clone(), true, args.raw), args).await,
    }
}

/// Writes each message until a signal.
async fn follow_to(receiver: &Receiver, mut output: Output, args: &PullArgs) -> Result<Exit, Failure> {
    loop {
        let received = match args.max {
            Some(max) => receiver.receive_batch(up_to(max)).await,
            None => receiver.receive().await.map(|message| vec![message]),
        };
        let messages = match received {
            Ok(messages) => messages,
            Err(ReceiveError::Cancelled) => return Ok(Exit::Ok),
            Err(error) => return Err(error.into()),
        };
        output.write(&joined(&messages, args.lines)).await?;
        // The messages were written. A failed settle is reported, but is not a reason to stop.
        for failure in settle(receiver, messages).await {
            say(&failure.to_string());
        }
    }
}

/// Runs the command on each message, on up to `--workers` messages concurrently, until a signal.
async fn follow_with(receiver: &Receiver, command: &[OsString], args: &PullArgs) -> Result<Exit, Failure> {
    let broken = RefCell::new(None);
    let mut options = WorkOptions::default();
    options.workers = args.workers as usize;
    let handler = async |message: &Received| {
        exec::run(message, command, args.reject_on).await.unwrap_or_else(|failure| {
            // A command that cannot be started fails for the next message as well.
            broken.replace(Some(failure));
            receiver.cancellation().cancel();
            Err(HandlerError::Release { delay_seconds: None })
        })
    };
    receiver.run(options, handler).await?;
    broken.take().map_or(Ok(Exit::Ok), Err)
}

fn up_to(max: u32) -> BatchOptions {
    let mut options = BatchOptions::default();
    options.messages_max = max as usize;
    options
}

fn joined(messages: &[Received], lines: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend_from_slice(&message.body);
        if lines {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Settles written messages together, and returns the failures.
async fn settle(receiver: &Receiver, messages: Vec<Received>) -> Vec<Failure> {
    let verdicts = messages.into_iter().map(|message| (message, Verdict::Settle)).collect();
    let results = receiver.apply_verdicts(verdicts).await;
    let failed = results.into_iter().filter_map(|(id, result)| Some((id, result.err()?)));
    failed.map(|(id, source)| Failure::Settle { id: id.to_string(), source }).collect()
}

/// Reports events on standard error as they happen.
async fn tell(events: &mut broadcast::Receiver<Event>, verbose: bool) -> Infallible {
    loop {
        match events.recv().await {
            Ok(event) => tell_one(&event, verbose),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Reports errors always, and other events with `--verbose`.
fn tell_one(event: &Event, verbose: bool) {
    match event {
        Event::Retrying { error, delay } => {
            say(&format!("{error}; retrying in {:.1} s", delay.as_secs_f64()));
        }
        Event::VerdictFailed { id, error } => {
            say(&format!("the command ran on the message {id}, which may be delivered again: {error}"));
        }
        Event::RenewFailed { id, error } => say(&format!("failed to renew the lease of {id}: {error}")),
        _ if !verbose => {}
        Event::TimedOut => say("time-out response: no message within the wait"),
        Event::PullRepeated => say("request transmitted again"),
        Event::Received { id } => say(&format!("received {id}")),
        Event::Renewed { id, granted } => {
            say(&format!("renewed the lease of {id} for {} s", granted.as_secs()));
        }
        Event::Settled { id } => say(&format!("settled {id}")),
        Event::Released { id } => say(&format!("released {id}")),
        Event::Rejected { id } => say(&format!("rejected {id}")),
        _ => {}
    }
}
