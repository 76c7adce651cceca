//! `restante pull --exec`: runs a command per message. Its exit code decides whether the message is settled, released
//! or rejected.

use std::{
    ffi::OsString,
    io::ErrorKind,
    process::{ExitStatus, Stdio},
};

use restante_client::{HandlerError, Received};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use super::failure::{Failure, say};

/// Runs the command on a message and returns the handler's result. The lease is renewed during the run. A second signal
/// drops this future, which kills the command and releases the message.
pub(crate) async fn run(
    message: &Received,
    command: &[OsString],
    reject_on: Option<i32>,
) -> Result<Result<(), HandlerError>, Failure> {
    let failed =
        |source| Failure::Run { command: command.join(" ".as_ref()).to_string_lossy().into(), source };
    let mut child = spawn(message, command).map_err(failed)?;
    let status = feed(&mut child, &message.body).await.map_err(failed)?;
    let id = message.id;
    if status.success() {
        return Ok(Ok(()));
    }
    if status.code().is_some() && status.code() == reject_on {
        say(&format!("the command rejected the message {id} ({status}), which becomes a dead letter"));
        return Ok(Err(HandlerError::Reject { reason: format!("the command ended with {status}") }));
    }
    say(&format!("the command failed on the message {id} ({status}), which is released"));
    Ok(Err(HandlerError::Release { delay_seconds: None }))
}

fn spawn(message: &Received, command: &[OsString]) -> std::io::Result<Child> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "the command has no name"))?;
    let mut run = Command::new(program);
    let reply_to = message.reply_to().map(|address| address.to_string());
    let correlation_id = message.correlation_id().map(str::to_owned);
    let optional =
        [("GROUP", message.group.clone()), ("REPLY_TO", reply_to), ("CORRELATION_ID", correlation_id)];
    for (name, value) in optional {
        let name = format!("RESTANTE_{name}");
        match value {
            Some(value) => run.env(name, value),
            // This process's own variable, if set, belongs to another message.
            None => run.env_remove(name),
        };
    }
    run.args(arguments)
        .env("RESTANTE_MESSAGE_ID", message.id.to_string())
        .env("RESTANTE_DELIVERIES", message.deliveries.to_string())
        .env("RESTANTE_CONTENT_TYPE", message.content_type().unwrap_or_default())
        .stdin(Stdio::piped())
        // Ctrl-C at the terminal signals the whole process group. The first one stops this process, not the command.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Writes the body to the command's standard input while it runs. A command may exit without reading all of it.
async fn feed(child: &mut Child, body: &[u8]) -> std::io::Result<ExitStatus> {
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(body).await;
        }
        std::future::pending().await
    };
    // A command has ended even if a grandchild still holds the pipe.
    tokio::select! {
        status = child.wait() => status,
        never = write => never,
    }
}
