//! One connection: HTTP/1.1 or cleartext HTTP/2, within its limits, to its end.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::{
    rt::Executor,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use prometheus::{IntCounter, IntGauge};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

use super::{Serve, outbox::Outbox, version::Version, watched::Watched};
use crate::drain::Drain;

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
    /// A connection may be idle for this long between two requests.
    pub keep_alive: Duration,
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

/// What all connections of a listener are served with.
pub(super) struct Serving<S> {
    pub(super) service: S,
    pub(super) limits: ConnectionLimits,
    pub(super) counts: ConnectionCounts,
    pub(super) drain: Drain,
    /// The drain has lasted long enough: connections that are still open end.
    pub(super) over: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl<S> Serving<S> {
    /// Until the drain begins, or, of one that has begun, until it is over.
    fn next_stage(&self, draining: bool) -> WaitForCancellationFuture<'_> {
        if draining { self.over.cancelled() } else { self.drain.begun() }
    }
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

/// Serves a connection to its end, or to that of the drain: then what it has not sent is undone.
pub(super) async fn serve<S: Serve>(stream: TcpStream, peer: SocketAddr, serving: Arc<Serving<S>>) {
    serving.counts.open.inc();
    let _open = Open(serving.counts.open.clone());
    // Without it, an answer in two packets waits 40 ms for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "failed to set TCP_NODELAY");
    }
    // On the heap, as the connection, because a task has room for all that it ever runs, and twice for what it is given to run.
    let Some(version) = Box::pin(version(&stream, &serving)).await else { return };
    // The outbox is the connection's own: what is in it when that ends was never sent.
    let outbox = Outbox::default();
    let io = io(stream, &outbox, &serving);
    let ended = match version {
        Version::Http1 => {
            let connection = http1(&serving.limits).serve_connection(io, serving.service.clone());
            outbox.scope(drained(Box::pin(connection), &serving)).await
        }
        Version::Http2 => {
            let streams = Streams { tasks: serving.tasks.clone(), outbox: outbox.clone() };
            let connection = http2(&serving.limits, streams).serve_connection(io, serving.service.clone());
            outbox.scope(drained(Box::pin(connection), &serving)).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

fn io<S>(stream: TcpStream, outbox: &Outbox, serving: &Serving<S>) -> TokioIo<Watched<TcpStream>> {
    let Serving { limits, counts, .. } = serving;
    TokioIo::new(Watched::new(stream, outbox.clone(), limits.write_timeout, counts.write_timeouts.clone()))
}

/// What a connection begins with; none if it brings nothing.
async fn version<S>(stream: &TcpStream, serving: &Serving<S>) -> Option<Version> {
    tokio::select! {
        version = timeout(serving.limits.head_timeout, Version::of(stream)) => version.ok()?.ok(),
        () = serving.next_stage(serving.drain.has_begun()) => None,
    }
}

fn http1(limits: &ConnectionLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(H1_BUFFER_BYTES_MAX)
        .pipeline_flush(true);
    builder
}

fn http2(limits: &ConnectionLimits, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
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

/// Serves until the peer has no more requests, until the drain lets it have none, or until that is over.
async fn drained<C, S>(mut connection: Pin<Box<C>>, serving: &Serving<S>) -> Result<(), C::Error>
where
    C: GracefulConnection,
{
    // A connection that comes during the drain ends with the request that it brings, because the answer says so.
    let mut draining = serving.drain.has_begun();
    let mut next_stage = pin!(serving.next_stage(draining));
    let mut waits = false;
    poll_fn(|context| {
        // Asked for once, and again in a drain: this is run twice for each request.
        if !waits || serving.drain.has_begun() {
            waits = true;
            while next_stage.as_mut().poll(context).is_ready() {
                if draining {
                    return Poll::Ready(Ok(()));
                }
                draining = true;
                connection.as_mut().graceful_shutdown();
                next_stage.set(serving.next_stage(draining));
            }
        }
        connection.as_mut().poll(context)
    })
    .await
}
