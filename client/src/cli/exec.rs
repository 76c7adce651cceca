//! `restante pull --exec`: a command per message. Its exit code decides between settling and giving back.

use std::{
    ffi::OsString,
    io::ErrorKind,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use restante_client::Received;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::sleep,
};

use super::failure::{Failure, say};

/// The pause after the first command that failed; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause: a mended command is not kept waiting.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// The command succeeded and the message is out of the channel.
    Settled,
    /// The message comes again: the command failed, or what it did could not be settled.
    ComesAgain,
}

/// Runs the command on a message. The lease is renewed meanwhile; a second signal drops this, which kills the command
/// and gives the message back.
pub(crate) async fn run(message: Received, command: &[OsString]) -> Result<Done, Failure> {
    let failed =
        |source| Failure::Run { command: command.join(" ".as_ref()).to_string_lossy().into(), source };
    let mut child = spawn(&message, command).map_err(failed)?;
    let status = feed(&mut child, &message.content).await.map_err(failed)?;
    let id = message.id;
    if status.success() {
        let settled = message.settle().await;
        Ok(settled.map_or_else(
            |error| {
                say(&format!("the command succeeded on {id}, and yet the message may come again: {error}"));
                Done::ComesAgain
            },
            |()| Done::Settled,
        ))
    } else {
        say(&format!("the command failed on {id} ({status}); the message is given back"));
        // Where that fails, the lease ends by itself.
        if let Err(error) = message.release().await {
            say(&format!("{id} was not given back: {error}"));
        }
        Ok(Done::ComesAgain)
    }
}

fn spawn(message: &Received, command: &[OsString]) -> std::io::Result<Child> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "it has no name"))?;
    Command::new(program)
        .args(arguments)
        .env("RESTANTE_MESSAGE_ID", message.id.to_string())
        .env("RESTANTE_DELIVERIES", message.deliveries.to_string())
        .env("RESTANTE_CONTENT_TYPE", message.content_type().unwrap_or_default())
        .stdin(Stdio::piped())
        // A ^C at the terminal goes to the whole group: the first asks us, not the command, to stop.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Writes the content to the command while it runs. A command that does not read all of it is none of our business.
async fn feed(child: &mut Child, content: &[u8]) -> std::io::Result<ExitStatus> {
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(content).await;
        }
        std::future::pending().await
    };
    // A command that left a grandchild holding the pipe is over all the same.
    tokio::select! {
        status = child.wait() => status,
        never = write => never,
    }
}

/// How fast messages are taken while the command fails.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    failures: u32,
}

impl Pace {
    /// Pauses after a failure.
    pub(crate) async fn after(&mut self, done: Done) {
        sleep(self.pause(done)).await;
    }

    fn pause(&mut self, done: Done) -> Duration {
        match done {
            Done::Settled => {
                self.failures = 0;
                Duration::ZERO
            }
            Done::ComesAgain => {
                self.failures = self.failures.saturating_add(1);
                PAUSE_MIN.saturating_mul(1 << (self.failures - 1).min(16)).min(PAUSE_MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_slow_down_and_a_success_ends_that() {
        let mut pace = Pace::default();
        let pauses: Vec<u128> = (0..8).map(|_| pace.pause(Done::ComesAgain).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(pace.pause(Done::Settled), Duration::ZERO);
        assert_eq!(pace.pause(Done::ComesAgain), PAUSE_MIN);
    }
}
