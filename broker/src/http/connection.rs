//! One connection: HTTP/1.1 or cleartext HTTP/2, within its limits, to its end.

use std::{
    future::{Future, poll_fn},
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
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

use super::{
    Serve,
    line::{Line, Patience},
    places::{Place, Places},
    requests::requests,
    stream::within_progress,
    version::Version,
    watched::Watched,
};
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

/// How long an idle HTTP/2 connection that ends has to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// What each connection may take.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// A connection has this long to send the head of its first request, and to send each next head once it has begun.
    pub head_timeout: Duration,
    /// A connection may be idle for this long between two requests.
    pub keep_alive: Duration,
    /// A peer has this long to take an answer, besides the time that its bytes are worth.
    pub write_timeout: Duration,
    /// The most streams of one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// The most streams of one of a trusted proxy: requests that may be open at all.
    pub requests_max: u32,
}

/// What is counted of a listener's connections.
#[derive(Debug, Clone)]
pub struct ConnectionCounts {
    /// Those that are open.
    pub open: IntGauge,
    /// Connections and streams that were given up because their peer took too little.
    pub write_timeouts: IntCounter,
}

/// What all connections of a listener are served with.
pub(super) struct Serving<S> {
    pub(super) service: S,
    pub(super) limits: ConnectionLimits,
    pub(super) places: Places,
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
    write_timeout: Duration,
    write_timeouts: IntCounter,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.tasks.spawn(within_progress(future, self.write_timeout, self.write_timeouts.clone()));
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
pub(super) async fn serve<S: Serve>(
    stream: TcpStream,
    line: Arc<Line>,
    _place: Place,
    serving: Arc<Serving<S>>,
) {
    serving.counts.open.inc();
    let _open = Open(serving.counts.open.clone());
    // Without it, an answer in two packets waits 40 ms for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %line.peer, %error, "failed to set TCP_NODELAY");
    }
    // On the heap, as the connection, because a task has room for all that it ever runs, and twice for what it is given to run.
    let Some(version) = Box::pin(version(&stream, &line, &serving)).await else { return };
    let ended = served(stream, version, &line, &serving).await;
    line.undelivered.lost();
    if let Err(error) = ended {
        tracing::debug!(peer = %line.peer, %error, "a connection ended early");
    }
}

/// Serves requests of one version to the connection's end. No `async` function, which would have room for all that the connection
/// is made of.
fn served<'a, S: Serve>(
    stream: TcpStream,
    version: Version,
    line: &'a Arc<Line>,
    serving: &'a Serving<S>,
) -> Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send + 'a>> {
    let patience = (serving.limits.write_timeout, serving.counts.write_timeouts.clone());
    let io = TokioIo::new(Watched::new(stream, line, version, patience));
    let requests = requests(&serving.service, line);
    match version {
        Version::Http1 => {
            let connection = Box::pin(http1().serve_connection(io, requests));
            Box::pin(lasting(connection, version, line, serving))
        }
        Version::Http2 => {
            let connection = Box::pin(http2(serving, line).serve_connection(io, requests));
            Box::pin(lasting(connection, version, line, serving))
        }
    }
}

/// What a connection begins with; none if it brings nothing.
async fn version<S>(stream: &TcpStream, line: &Line, serving: &Serving<S>) -> Option<Version> {
    let gives_way = poll_fn(|context| {
        line.wakes(context.waker());
        if line.is_to_give_way() { Poll::Ready(()) } else { Poll::Pending }
    });
    tokio::select! {
        version = timeout(serving.limits.head_timeout, Version::of(stream)) => version.ok()?.ok(),
        () = serving.next_stage(serving.drain.has_begun()) => None,
        () = gives_way => None,
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Requests date their answers.
        .auto_date_header(false)
        // The line's patience holds for it.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(H1_BUFFER_BYTES_MAX);
    builder
}

fn http2<S>(serving: &Serving<S>, line: &Line) -> http2::Builder<Streams> {
    let Serving { tasks, limits, counts, places, .. } = serving;
    // A proxy has as many streams as requests may be open, and its clients share those.
    let streams_max = if places.is_of_many(line) { limits.requests_max } else { limits.h2_streams_max };
    let streams = Streams {
        tasks: tasks.clone(),
        write_timeout: limits.write_timeout,
        write_timeouts: counts.write_timeouts.clone(),
    };
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(streams_max)
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

/// Serves until the peer has no more requests or has been silent for too long, until the drain lets it have none, or until that
/// is over.
async fn lasting<C, S>(
    mut connection: Pin<Box<C>>,
    version: Version,
    line: &Line,
    serving: &Serving<S>,
) -> Result<(), C::Error>
where
    C: GracefulConnection,
{
    let ConnectionLimits { head_timeout, keep_alive, .. } = serving.limits;
    let patience = Patience { head: head_timeout, idle: keep_alive };
    // A connection that comes during the drain ends with the request that it brings, because the answer says so.
    let mut draining = serving.drain.has_begun();
    let mut next_stage = pin!(serving.next_stage(draining));
    let mut waits = false;
    let mut silence = pin!(sleep_until(Instant::now() + head_timeout));
    let mut says_goodbye = false;
    poll_fn(|context| {
        // Asked for once, and again in a drain: this is run twice for each request.
        if !waits || serving.drain.has_begun() {
            waits = true;
            line.wakes(context.waker());
            while next_stage.as_mut().poll(context).is_ready() {
                if draining {
                    return Poll::Ready(Ok(()));
                }
                draining = true;
                connection.as_mut().graceful_shutdown();
                next_stage.set(serving.next_stage(draining));
            }
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        // The timer is set again only if the line ends earlier than it thought, or when it rings.
        let gives_way = line.is_to_give_way();
        loop {
            let Some(ends_at) = line.ends_at(patience) else { return Poll::Pending };
            if !gives_way && ends_at < silence.deadline() {
                silence.as_mut().reset(ends_at);
            }
            if !gives_way && silence.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if !gives_way && Instant::now() < ends_at {
                silence.as_mut().reset(ends_at);
                continue;
            }
            // Of HTTP/1, closing says it all.
            if version == Version::Http1 || says_goodbye {
                return Poll::Ready(Ok(()));
            }
            says_goodbye = true;
            connection.as_mut().graceful_shutdown();
            silence.as_mut().reset(Instant::now() + GOODBYE);
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            let _ = silence.as_mut().poll(context);
            return Poll::Pending;
        }
    })
    .await
}
