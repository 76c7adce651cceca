//! `restante pull`: the receiver module on the command line.

use std::{convert::Infallible, time::Duration};

use restante_client::{Client, Event, ReceiveError, Received, Receiver, ReceiverOptions};
use tokio::{
    io::stdout,
    sync::broadcast::{self, error::RecvError},
    time::timeout,
};

use super::{
    exec::{self, Done, Pace},
    exit::Exit,
    failure::{Failure, say},
    output::{self, Output},
    signal::Signals,
};
use crate::config::PullArgs;

/// How long giving back what was in hand may take at the end: a broker that is there answers well within.
const LAST_RELEASE_MAX: Duration = Duration::from_secs(2);

/// Receives one message, or with `--follow` one after the other.
pub(crate) async fn run(client: &Client, args: PullArgs, deadline: Duration) -> Result<Exit, Failure> {
    let mut options = ReceiverOptions::default();
    options.wait_seconds = args.wait;
    options.lease_seconds = args.lease;
    options.ask_by_post = args.post;
    options.keep_asking = args.keep_asking;
    options.settle_within = deadline;
    let cancel = options.cancel.clone();
    let receiver = Receiver::new(client, args.address.clone(), options);
    let (mut events, mut signals) = (receiver.events(), Signals::new());

    let work = async {
        if args.follow { follow(&receiver, &args).await } else { once(&receiver, &args, deadline).await }
    };
    let stop = async {
        signals.next().await;
        // Stops asking; a message in hand is finished. The second signal ends that too.
        cancel.cancel();
        signals.next().await;
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = stop => Ok(Exit::Interrupted),
        never = tell(&mut events, args.verbose) => match never {},
    };
    // Whatever the outcome, a message that was not settled goes back now and not when its lease ends. Where the broker
    // does not answer, the lease ends by itself.
    let _ = timeout(LAST_RELEASE_MAX, receiver.drained()).await;
    while let Ok(event) = events.try_recv() {
        tell_one(&event, args.verbose);
    }
    ended
}

async fn once(receiver: &Receiver, args: &PullArgs, deadline: Duration) -> Result<Exit, Failure> {
    let Some(message) = receiver.receive_once(Some(deadline)).await? else {
        return Ok(Exit::NothingCame);
    };
    if args.exec.is_some() {
        let done = exec::run(message, args.exec.as_deref().unwrap_or_default()).await?;
        return Ok(if done == Done::Settled { Exit::Ok } else { Exit::CommandFailed });
    }
    Output::new(args.output_file.clone(), false).write(&framed(&message, args.lines)).await?;
    if args.no_settle {
        let lease = message.keep();
        if args.output_file.is_some() {
            output::write(&mut stdout(), format!("{lease}\n").as_bytes(), "standard output").await?;
        } else {
            say(&format!("lease: {lease}"));
        }
    } else {
        settle(message).await?;
    }
    Ok(Exit::Ok)
}

async fn follow(receiver: &Receiver, args: &PullArgs) -> Result<Exit, Failure> {
    let mut output = Output::new(args.output_file.clone(), true);
    let mut pace = Pace::default();
    loop {
        let message = match receiver.receive().await {
            Ok(message) => message,
            Err(ReceiveError::Cancelled) => return Ok(Exit::Ok),
            Err(error) => return Err(error.into()),
        };
        match &args.exec {
            Some(command) => {
                let done = exec::run(message, command).await?;
                // A message that fails comes back at once: without a pause, a bad one would spin.
                let _ = receiver.cancellation().run_until_cancelled(pace.after(done)).await;
            }
            None => {
                output.write(&framed(&message, args.lines)).await?;
                // The message was written; that it may come again is said, and no reason to stop.
                if let Err(failure) = settle(message).await {
                    say(&failure.to_string());
                }
            }
        }
    }
}

fn framed(message: &Received, lines: bool) -> Vec<u8> {
    let mut content = message.content.to_vec();
    if lines {
        content.push(b'\n');
    }
    content
}

async fn settle(message: Received) -> Result<(), Failure> {
    let id = message.id.to_string();
    message.settle().await.map_err(|source| Failure::Settle { id, source })
}

/// Says on standard error what happens while it happens.
async fn tell(events: &mut broadcast::Receiver<Event>, verbose: bool) -> Infallible {
    loop {
        match events.recv().await {
            Ok(event) => tell_one(&event, verbose),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Faults are told always; what goes as it should, on request.
fn tell_one(event: &Event, verbose: bool) {
    match event {
        Event::Retrying { error, delay } => {
            say(&format!("{error}; asking again in {:.1} s", delay.as_secs_f64()));
        }
        Event::RenewFailed { id, error } => say(&format!("the lease of {id} was not renewed: {error}")),
        _ if !verbose => {}
        Event::TimedOut => say("time-out response: nothing came within the wait"),
        Event::AskedAgain => say("asked again"),
        Event::Received { id } => say(&format!("received {id}")),
        Event::Renewed { id, granted } => {
            say(&format!("renewed the lease of {id} for {} s", granted.as_secs()));
        }
        Event::Settled { id } => say(&format!("settled {id}")),
        Event::Released { id } => say(&format!("gave {id} back")),
        _ => {}
    }
}
