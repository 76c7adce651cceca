//! The signals to stop. The process listens before it does anything else: the first process of a container has no default action
//! for them, so that one that comes earlier would be lost.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals to come.
pub struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    /// Listens from now on. Needs the runtime that it is used in.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Does something, unless a signal comes before it is done.
    pub async fn race<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.next() => None,
        }
    }
}
