//! One connection: HTTP/1.1 or cleartext HTTP/2, within its limits, to its end.

use std::{net::SocketAddr, pin::pin, time::Duration};

use hyper::rt::Executor;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use prometheus::{IntCounter, IntGauge};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Serve, outbox::Outbox, version::Version, watched::Watched};

/// The largest head of an HTTP/1 request, and what is read ahead of a body: hyper takes no less, and the largest head that
/// makes sense has 2 KiB of kept headers and a lease or two.
const H1_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// The most headers of a request: 64 are kept, and proxies add some.
const HEADERS_MAX: usize = 128;
/// The largest headers of an HTTP/2 request, uncompressed (RFC 9113 section 6.5.2), continuations included.
const H2_HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// Streams that a peer may have reset before they were served, and that we may have reset because of its errors, until the
/// connection ends: what rapid reset (CVE-2023-44487) makes thousands of.
const H2_RESETS_MAX: usize = 20;
/// What an HTTP/2 peer may send of a body before it was read: within the body memory's care from the first read on.
const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same for all streams of a connection.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What is kept of each HTTP/2 stream's answer until its receiver takes it.
const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it has to answer.
const H2_PING_EVERY: Duration = Duration::from_secs(30);

/// What each connection may take.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections at a time.
    pub connections_max: usize,
    /// A connection has this long to send the head of its first or next request.
    pub head_timeout: Duration,
    /// A peer that takes nothing of an answer for this long is given up.
    pub write_timeout: Duration,
    /// The most streams of one HTTP/2 connection.
    pub h2_streams_max: u32,
}

/// What is counted of a listener's connections.
#[derive(Debug, Clone)]
pub struct ConnectionCounts {
    /// Those that are open.
    pub open: IntGauge,
    /// Those that were closed at once because there were too many.
    pub refused: IntCounter,
    /// Those that were given up because their peer took nothing.
    pub write_timeouts: IntCounter,
}

/// What a connection is served with.
#[derive(Clone)]
pub(super) struct Serving<S> {
    pub(super) service: S,
    pub(super) limits: ConnectionLimits,
    pub(super) counts: ConnectionCounts,
    pub(super) drain: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// Runs HTTP/2 streams as tasks that the server waits for.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    outbox: Outbox,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.tasks.spawn(self.outbox.scope(future));
    }
}

/// Counts a connection for as long as it is open.
struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Serves a connection to its end.
pub(super) async fn serve<S: Serve>(stream: TcpStream, peer: SocketAddr, serving: Serving<S>) {
    let Serving { service, limits, counts, drain, tasks } = serving;
    counts.open.inc();
    let _open = Open(counts.open);
    // Without it, an answer in two packets waits 40 ms for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "failed to set TCP_NODELAY");
    }
    let version = tokio::select! {
        version = timeout(limits.head_timeout, Version::of(&stream)) => match version {
            Ok(Ok(version)) => version,
            Ok(Err(_)) | Err(_) => return,
        },
        // A connection that comes during the drain has a request to bring.
        () = drain.cancelled(), if !drain.is_cancelled() => return,
    };
    let outbox = Outbox::default();
    let builder = version.told(builder(&limits, Streams { tasks, outbox: outbox.clone() }));
    let stream = Watched::new(stream, outbox.clone(), limits.write_timeout, counts.write_timeouts);
    let mut connection = pin!(outbox.scope(drained(builder, TokioIo::new(stream), service, drain)));
    // The outbox that is left is the connection's own: what is in it when that ends was never sent.
    drop(outbox);
    if let Err(error) = connection.as_mut().await {
        tracing::debug!(%peer, error, "a connection ended early");
    }
}

fn builder(limits: &ConnectionLimits, streams: Streams) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(H1_BUFFER_BYTES_MAX)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(H2_HEADERS_BYTES_MAX)
        .max_pending_accept_reset_streams(H2_RESETS_MAX)
        .max_local_error_reset_streams(H2_RESETS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_EVERY);
    builder
}

/// Serves until the peer has no more requests, or until the drain lets it have none.
async fn drained<S: Serve>(
    builder: auto::Builder<Streams>,
    io: TokioIo<Watched<TcpStream>>,
    service: S,
    drain: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = pin!(builder.serve_connection(io, service));
    // A connection that comes during the drain has a request to bring: it ends with that, because the answer says so.
    if drain.is_cancelled() {
        return connection.await;
    }
    tokio::select! {
        served = connection.as_mut() => served,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
