//! What the system says to the process: stop, stop at once, read the manifests again.
//!
//! Whoever runs listens before it does anything else. Most programs end by the system's own action on SIGTERM; the first process of
//! a container has none, and what it does not listen for is lost.

use std::{io, panic, process::ExitCode, thread};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// A signal that the broker obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Stop.
    Stop(Stop),
    /// SIGHUP.
    Reload,
}

/// A signal to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl Stop {
    /// The signal's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// How a command ends that it ended: 128 and the signal's number, as shells tell it of a process that a signal ended.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        })
    }
}

/// The signals to come.
pub(crate) struct Signals {
    /// Those to stop.
    pub(crate) stops: Stops,
    hang_up: Signal,
}

impl Signals {
    /// Listens from now on. Needs the runtime that it is used in.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { stops: Stops::listen()?, hang_up: signal(SignalKind::hangup())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Said {
        tokio::select! {
            stop = self.stops.next() => Said::Stop(stop),
            _ = self.hang_up.recv() => Said::Reload,
        }
    }
}

/// The signals to stop.
pub(crate) struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    /// Listens from now on. Needs the runtime that it is used in.
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }

    /// Does something on a thread of its own, and waits until it is done or the process is told to stop. Then the thread is left
    /// wherever it is, and the process is to end, as a crash would end it: what is done must bear that. So it ends at once, however
    /// long a disk takes for a step.
    pub(crate) async fn or_done<T: Send + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Result<T, Stop>> {
        let (done, is_done) = oneshot::channel();
        // Nobody may be left to be told.
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

/// Does something and tells how it ended, or which signal came before: see [`Stops::or_done`].
pub(crate) fn done_or_stopped<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Result<T, Stop>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Stops::listen()?.or_done(name, work).await })
}
