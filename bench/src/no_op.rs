//! The no-op server that the broker is compared with: the broker's own HTTP stack, hyper and axum, which reads a
//! message and answers 201 at once. The difference to a push is the cost of the broker itself.

use std::{env, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderName, StatusCode},
    routing::post,
};
use restante_broker::{
    clock::{Clock, Past, TimeSource},
    drain::Drain,
    http::{ConnectionCounts, ConnectionLimits, Places, Server, serve},
};
use tokio::{net::TcpListener, runtime};

use crate::server::{Server as Process, free_port, pinned};

/// An answer whose headers are as long as a real one's.
const ANSWER: (StatusCode, [(HeaderName, &str); 2]) = (
    StatusCode::CREATED,
    [
        (HeaderName::from_static("message-id"), "00000000-0000-7000-8000-000000000000"),
        (HeaderName::from_static("message-durability"), "fsync"),
    ],
);

/// Above the number of clients of any row.
const CONNECTIONS_MAX: usize = 100_000;

/// Starts the no-op server as a process.
pub(crate) fn start(within: &Path) -> Result<Process> {
    let folder = tempfile::tempdir_in(within)?;
    let address = free_port()?;
    let mut command = pinned(&env::current_exe()?);
    command.arg("no-op").arg("--listen").arg(address.to_string());
    let mut server = Process::start("no-op", &command, folder.path(), address)?;
    server.keep(folder);
    server.wait_until_idle()?;
    Ok(server)
}

/// Serves until the process is ended.
pub(crate) fn serve_until_ended(listen: SocketAddr) -> Result<()> {
    // One thread, like the broker's data port.
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let router = Router::new().route("/v1/messages/{*address}", post(async |_: Bytes| ANSWER));
        let drain = Drain::new();
        serve(Server {
            listener,
            service: router,
            limits: ConnectionLimits::default(),
            places: Places::uncounted(CONNECTIONS_MAX),
            counts: ConnectionCounts::unread(),
            clock: Clock::start(TimeSource::system(), Past::default()),
            drain,
            drain_timeout: Duration::ZERO,
        })
        .await;
        Ok(())
    })
}
