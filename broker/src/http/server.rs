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

/// Serves until the drain is over. Connections are accepted during the drain as well: a receiver may come to settle. And as long as
/// one of another listener of the port is open, because the system gives a new connection to any of them: it resets those that one
/// has not accepted when it is closed.
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
        let all_over = async {
            serving.places.are_free().await;
            tasks.wait().await;
        };
        if timeout(drain_timeout, all_over).await.is_err() {
            if !tasks.is_empty() {
                tracing::warn!(
                    connections = tasks.len(),
                    "connections are still open at the end of the drain"
                );
            }
            over.cancel();
            tasks.wait().await;
        }
    };
    tokio::select! {
        () = accepting => {}
        () = drained => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use http::StatusCode;
    use reqwest::Client;
    use tokio::sync::Notify;

    use super::*;
    use crate::clock::{Past, TimeSource};

    #[tokio::test]
    async fn each_listener_of_a_port_takes_connections_until_those_of_all_are_over() {
        let (came, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (comes, waits) = (came.clone(), goes_on.clone());
        let slow = async move || {
            comes.notify_one();
            waits.notified().await;
        };
        let service = Router::new().route("/", get(async || "")).route("/slow", get(slow));
        let (places, drain) = (Places::uncounted(8), Drain::new());
        let mut urls = Vec::new();
        let mut served = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.push(format!("http://{}/", listener.local_addr().unwrap()));
            served.push(tokio::spawn(serve(Server {
                listener,
                service: service.clone(),
                limits: ConnectionLimits::default(),
                places: places.clone(),
                counts: ConnectionCounts::unread(),
                clock: Clock::start(TimeSource::of_test(1_796_000_000_000), Past::default()),
                drain: drain.clone(),
                drain_timeout: Duration::from_secs(20),
            })));
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let open = tokio::spawn(client.get(format!("{}slow", urls[0])).send());
        came.notified().await;
        drain.begin();
        for _ in 0..10 {
            let probe = client.get(&urls[1]).send().await.unwrap();
            assert_eq!(probe.status(), StatusCode::OK);
        }
        goes_on.notify_one();
        assert_eq!(open.await.unwrap().unwrap().status(), StatusCode::OK);
        for served in served {
            served.await.unwrap();
        }
    }
}
