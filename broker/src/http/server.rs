//! Accepting connections and serving HTTP/1.1 and cleartext HTTP/2 on them.

use std::{future::Future, net::SocketAddr, pin::pin, time::Duration};

use axum::Router;
use hyper::rt::Executor;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A connection has this long to send the head of its first or next request. Longer than the keep-alive time-outs of
/// common clients and proxies (60 s), so that they and not we close an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// The most streams of one HTTP/2 connection: the least that RFC 9113 section 6.5.2 recommends.
const H2_STREAMS_MAX: u32 = 100;
/// How long to wait when the system has no more file descriptors: connections end meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener and what it serves.
pub struct Server {
    /// Bound already, so that a port in use is an error before anything else begins.
    pub listener: TcpListener,
    /// What it serves.
    pub router: Router,
    /// Ends idle connections, and the others after the request that they are in.
    pub drain: CancellationToken,
    /// How long connections have after that.
    pub drain_timeout: Duration,
}

/// Runs HTTP/2 streams as tasks that the server waits for.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Serves until the drain is over. Connections are accepted during the drain as well: a receiver may come to settle.
pub async fn serve(server: Server) {
    let Server { listener, router, drain, drain_timeout } = server;
    let tasks = TaskTracker::new();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tasks.spawn(connection(stream, peer, router.clone(), drain.clone(), tasks.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let drained = async {
        drain.cancelled().await;
        tasks.close();
        if timeout(drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections are still open at the end of the drain");
        }
    };
    tokio::select! {
        () = accepting => {}
        () = drained => {}
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    drain: CancellationToken,
    tasks: TaskTracker,
) {
    // Without it, an answer in two packets waits 40 ms for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "failed to set TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(Tracked(tasks));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).pipeline_flush(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(H2_STREAMS_MAX);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // A connection that comes during the drain has a request to bring: it ends with that, because the answer says so.
    let came_late = drain.is_cancelled();
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = drain.cancelled(), if !came_late => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, error, "a connection ended early");
    }
}
