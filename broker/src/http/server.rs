//! Accepts connections.

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

/// The pause after a failed accept, such as when there are no more file descriptors: connections end meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener with its service.
pub struct Server<S> {
    /// Already bound, so that a port in use is an error before anything else starts.
    pub listener: TcpListener,
    /// Answers the requests.
    pub service: S,
    /// The limits of each connection.
    pub limits: ConnectionLimits,
    /// The limit of connections, shared by all listeners of a port.
    pub places: Places,
    /// The metrics of the connections.
    pub counts: ConnectionCounts,
    /// The clock for the `Date` of answers.
    pub clock: Clock,
    /// Ends idle connections at once, and the others after their current request.
    pub drain: Drain,
    /// How long after the start of the drain open connections are cut off.
    pub drain_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            // These defaults are for the admin and control ports, whose clients are near.
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            // The minimum that RFC 9113 section 6.5.2 recommends.
            h2_streams_max: 100,
            requests_max: 100,
        }
    }
}

impl ConnectionCounts {
    /// Metrics that are not exported.
    pub fn unread() -> Self {
        let counter = || IntCounter::new("unread", "unread").expect("the name is valid");
        let open = IntGauge::new("unread", "unread").expect("the name is valid");
        Self { open, write_timeouts: counter() }
    }
}

/// Serves until the drain is over. Connections are accepted during the drain too, because a receiver may connect to
/// settle. The listener also stays open as long as other listeners of the port have connections: the system gives a new
/// connection to any of the listeners, and resets the connections that a listener has not accepted when it is closed.
pub async fn serve<S: Serve>(server: Server<S>) {
    let Server { listener, service, limits, places, counts, clock, drain, drain_timeout } = server;
    date::prime_hypers_clock().await;
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
                    // Without a place the connection is closed at once, before it takes memory.
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
    async fn each_listener_of_a_port_accepts_connections_until_the_connections_of_all_have_ended() {
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
