//! Signals: the first asks for a clean end, the second for an end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM.
pub(crate) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Listens from now on. Where the system does not allow that, signals keep their usual effect.
    pub(crate) fn new() -> Self {
        Self(signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok()))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some((interrupt, terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            None => std::future::pending().await,
        }
    }
}

/// Waits for the first one.
pub(crate) async fn first() {
    Signals::new().next().await;
}
