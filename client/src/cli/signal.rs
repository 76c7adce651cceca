//! Signals: the first stops gracefully, the second at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM.
pub(crate) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Installs the handlers. If the system does not allow that, signals keep their default effect.
    pub(crate) fn new() -> Self {
        Self(signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok()))
    }

    /// Waits for the next signal.
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

/// Waits for the first signal.
pub(crate) async fn first() {
    Signals::new().next().await;
}
