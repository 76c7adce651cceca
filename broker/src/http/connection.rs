//! Serves one connection, HTTP/1.1 or cleartext HTTP/2, within its limits until it ends.

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
    watched_socket::WatchedSocket,
};
use crate::drain::Drain;

/// The maximum size of an HTTP/1 request's head, and of the read-ahead of a body. hyper accepts no smaller value; the
/// largest useful head has 2 KiB of kept headers and a few leases.
const H1_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// The maximum number of headers of a request: 64 are kept, and proxies add some.
const HEADERS_MAX: usize = 128;
/// The maximum size of an HTTP/2 request's headers, uncompressed (RFC 9113 section 6.5.2) and including continuations.
const H2_HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// How many streams a peer may reset before they were served, and how many of its errors may reset streams, before the
/// connection is closed. Rapid reset (CVE-2023-44487) makes thousands.
const H2_RESETS_MAX: usize = 20;
/// How much of a body an HTTP/2 peer may send before it is read. From the first read on, the memory limit of bodies
/// applies.
const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same for all streams of a connection.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// The send buffer of each HTTP/2 stream.
const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How often a silent HTTP/2 peer gets a PING, and how long it has to answer.
const H2_PING_EVERY: Duration = Duration::from_secs(30);

/// How long an idle HTTP/2 connection has to shut down after GOAWAY.
const GOODBYE: Duration = Duration::from_secs(5);

/// The limits of each connection.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The time for the head of the first request, and for each next head from its first byte.
    pub head_timeout: Duration,
    /// How long a connection can be idle between two requests.
    pub keep_alive: Duration,
    /// The time for a peer to read an answer, in addition to the time that its size allows.
    pub write_timeout: Duration,
    /// The maximum number of streams of one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// The same for a connection of a trusted proxy: the limit of all open requests.
    pub requests_max: u32,
}

/// The metrics of a listener's connections.
#[derive(Debug, Clone)]
pub struct ConnectionCounts {
    /// Open connections.
    pub open: IntGauge,
    /// Connections and streams that were closed because their peer read its answer too slowly.
    pub write_timeouts: IntCounter,
}

/// The shared state of a listener's connections.
pub(super) struct Serving<S> {
    pub(super) service: S,
    pub(super) limits: ConnectionLimits,
    pub(super) places: Places,
    pub(super) counts: ConnectionCounts,
    pub(super) drain: Drain,
    /// Cancelled at the end of the drain: connections that are still open are cut off.
    pub(super) over: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl<S> Serving<S> {
    /// Waits until the drain begins; or, if it has begun, until it ends.
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

/// Counts an open connection.
struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Serves a connection until it ends, or until the drain ends. Then the messages of answers that were not sent are
/// released.
pub(super) async fn serve<S: Serve>(
    stream: TcpStream,
    line: Arc<Line>,
    _place: Place,
    serving: Arc<Serving<S>>,
) {
    serving.counts.open.inc();
    let _open = Open(serving.counts.open.clone());
    // Without TCP_NODELAY, an answer in two packets waits 40 ms for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %line.peer, %error, "failed to set TCP_NODELAY");
    }
    // On the heap, like the connection: a task reserves memory for every future that it awaits, and twice for its
    // arguments.
    let Some(version) = Box::pin(version(&stream, &line, &serving)).await else { return };
    let ended = served(stream, version, &line, &serving).await;
    line.undelivered.lost();
    if let Err(error) = ended {
        tracing::debug!(peer = %line.peer, %error, "a connection ended early");
    }
}

/// Serves the requests of a connection. Not an `async` function, which would reserve memory for all parts of the
/// connection.
fn served<'a, S: Serve>(
    stream: TcpStream,
    version: Version,
    line: &'a Arc<Line>,
    serving: &'a Serving<S>,
) -> Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send + 'a>> {
    let patience = (serving.limits.write_timeout, serving.counts.write_timeouts.clone());
    let io = TokioIo::new(WatchedSocket::new(stream, line, version, patience));
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

/// The HTTP version of a connection; `None` if the connection ends before it sends anything.
async fn version<S>(stream: &TcpStream, line: &Line, serving: &Serving<S>) -> Option<Version> {
    let asked_to_close = poll_fn(|context| {
        line.wakes(context.waker());
        if line.must_close() { Poll::Ready(()) } else { Poll::Pending }
    });
    tokio::select! {
        version = timeout(serving.limits.head_timeout, Version::of(stream)) => version.ok()?.ok(),
        () = serving.next_stage(serving.drain.has_begun()) => None,
        () = asked_to_close => None,
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `requests` sets the date of answers.
        .auto_date_header(false)
        // `lasting` applies the time-out of heads.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(H1_BUFFER_BYTES_MAX);
    builder
}

fn http2<S>(serving: &Serving<S>, line: &Line) -> http2::Builder<Streams> {
    let Serving { tasks, limits, counts, places, .. } = serving;
    // A trusted proxy may use all open requests, and its clients have shares of them.
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

/// Serves a connection until the peer closes it, until it was silent for too long, until the drain ends it after its
/// requests, or until the drain itself ends.
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
    // A connection that is opened during the drain ends after its first request, because the answer has `Connection:
    // close`.
    let mut draining = serving.drain.has_begun();
    let mut next_stage = pin!(serving.next_stage(draining));
    let mut waits = false;
    let mut silence = pin!(sleep_until(Instant::now() + head_timeout));
    let mut says_goodbye = false;
    poll_fn(|context| {
        // Registered once, and again during a drain, because this closure runs twice for each request.
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
        // The timer is reset only if the line ends earlier than its deadline, or when it fires.
        let asked_to_close = line.must_close();
        loop {
            let Some(ends_at) = line.ends_at(patience) else { return Poll::Pending };
            if !asked_to_close && ends_at < silence.deadline() {
                silence.as_mut().reset(ends_at);
            }
            if !asked_to_close && silence.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if !asked_to_close && Instant::now() < ends_at {
                silence.as_mut().reset(ends_at);
                continue;
            }
            // An HTTP/1 connection is just closed.
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
