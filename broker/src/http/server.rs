//! Accepting connections.

use std::{sync::Arc, time::Duration};

use prometheus::{IntCounter, IntGauge};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Serve,
    connection::{self, ConnectionCounts, ConnectionLimits, Serving},
    date,
    line::Line,
    places::Places,
};
use crate::{clock::Clock, drain::Drain};

/// How long to wait when the system has no more file descriptors: connections end meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener and what it serves.
pub struct Server<S> {
    /// Bound already, so that a port in use is an error before anything else begins.
    pub listener: TcpListener,
    /// What it serves.
    pub service: S,
    /// What each connection may take.
    pub limits: ConnectionLimits,
    /// How many there may be; the same of all listeners of a port.
    pub places: Places,
    /// What is counted of them.
    pub counts: ConnectionCounts,
    /// Dates answers.
    pub clock: Clock,
    /// Ends idle connections, and the others after the request that they are in.
    pub drain: Drain,
    /// How long connections have after that.
    pub drain_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            // Ports for operators and probes, which are near.
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            // The least that RFC 9113 section 6.5.2 recommends.
            h2_streams_max: 100,
            requests_max: 100,
        }
    }
}

impl ConnectionCounts {
    /// Counts that nobody reads.
    pub fn unread() -> Self {
        let counter = || IntCounter::new("unread", "unread").expect("the name is one");
        let open = IntGauge::new("unread", "unread").expect("the name is one");
        Self { open, write_timeouts: counter() }
    }
}

/// Serves until the drain is over. Connections are accepted during the drain as well: a receiver may come to settle.
pub async fn serve<S: Serve>(server: Server<S>) {
    let Server { listener, service, limits, places, counts, clock, drain, drain_timeout } = server;
    date::look_at_the_clock().await;
    let tasks = TaskTracker::new();
    let over = CancellationToken::new();
    let (drain_end, tasks_of) = (over.clone(), tasks.clone());
    let serving =
        Serving { service, limits, places, counts, drain: drain.clone(), over: drain_end, tasks: tasks_of };
    let serving = Arc::new(serving);
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let line = Line::new(peer.ip().to_canonical(), &serving.drain, &clock);
                    // Without a place it is closed at once, before it takes memory: the peer tries again.
                    if let Some(place) = serving.places.enter(&line) {
                        tasks.spawn(connection::serve(stream, line, place, serving.clone()));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let drained = async {
        drain.begun().await;
        tasks.close();
        if timeout(drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections are still open at the end of the drain");
            over.cancel();
            tasks.wait().await;
        }
    };
    tokio::select! {
        () = accepting => {}
        () = drained => {}
    }
}
