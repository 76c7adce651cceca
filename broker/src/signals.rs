//! Signals to the process: stop, and read the manifests again.
//!
//! A program listens before it does anything else. By default the kernel ends a process on SIGTERM, but not the first
//! process of a container: a signal that nothing listens for is lost there.

use std::{io, panic, process::ExitCode, thread};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// A signal that the broker handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessSignal {
    Stop(Stop),
    /// SIGHUP.
    Reload,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Terminate,
    Interrupt,
}

impl Stop {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// Exit code of a command that this signal ended: 128 plus the signal's number, the convention of shells.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        })
    }
}

pub(crate) struct Signals {
    pub(crate) stops: Stops,
    hang_up: Signal,
}

impl Signals {
    /// Starts to listen. Must be called inside a Tokio runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { stops: Stops::listen()?, hang_up: signal(SignalKind::hangup())? })
    }

    pub(crate) async fn next(&mut self) -> ProcessSignal {
        tokio::select! {
            stop = self.stops.next() => ProcessSignal::Stop(stop),
            _ = self.hang_up.recv() => ProcessSignal::Reload,
        }
    }
}

pub(crate) struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    /// Starts to listen. Must be called inside a Tokio runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }

    /// Runs `work` on a thread of its own, and waits until it finishes or a signal to stop arrives. After a signal the
    /// thread is abandoned wherever it is, so that the process can end at once, however slow the disk is. `work` must
    /// therefore survive being cut off, as by a crash.
    pub(crate) async fn or_done<T: Send + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Result<T, Stop>> {
        let (done, is_done) = oneshot::channel();
        // The receiver is gone after a signal.
        let working = thread::Builder::new().name(name.to_owned()).spawn(move || drop(done.send(work())))?;
        tokio::select! {
            biased;
            done = is_done => match done {
                Ok(done) => Ok(Ok(done)),
                Err(_) => match working.join() {
                    Err(panic) => panic::resume_unwind(panic),
                    Ok(()) => Err(io::Error::other("a thread ended before its work was done")),
                },
            },
            stop = self.next() => Ok(Err(stop)),
        }
    }
}

/// Runs `work` and returns its result, or the signal that arrived first: see [`Stops::or_done`].
pub(crate) fn done_or_stopped<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Result<T, Stop>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Stops::listen()?.or_done(name, work).await })
}
