//! Load: clients that each repeat one operation.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    process,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use restante_tests::usage::cpu_time;
use tokio::{
    runtime,
    task::{JoinSet, LocalSet},
    time::sleep,
};

use crate::{
    cores,
    statistics::{median, percentile},
};

/// Time before a turn is measured, to open connections and warm caches.
pub(crate) const WARM_UP: Duration = Duration::from_millis(500);

/// Time after a receiver's request in which its server has certainly read it and become idle.
pub(crate) const UNTIL_IT_WAITS: Duration = Duration::from_millis(2);

/// An operation that clients repeat.
pub(crate) trait Work: 'static {
    /// State of a client: its connections, and the message that it settles next.
    type Client;

    /// Prepares a client.
    async fn begin(&self) -> Result<Self::Client>;

    /// The operation, which is counted and timed.
    async fn once(&self, client: &mut Self::Client) -> Result<()>;

    /// Prepares the next operation. Not timed.
    async fn after(&self, _client: &mut Self::Client) -> Result<()> {
        Ok(())
    }
}

/// Measurements of one server in one turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Requests answered per second.
    pub(crate) rate: f64,
    /// The server's CPU time per request, in microseconds.
    pub(crate) server_cpu_us: f64,
    /// Share of its core that the load used. Near 1, the load was the bottleneck and not the server.
    pub(crate) load_busy: f64,
    /// Share of the server's core that other processes used. A server that waits for its disk may then wait for its
    /// core as well, for milliseconds.
    pub(crate) others_busy: f64,
    /// Median time from the first byte of a request to the last byte of its answer, in microseconds.
    pub(crate) p50_us: f64,
    /// 99th percentile of the same time.
    pub(crate) p99_us: f64,
}

/// Runs a future that is not measured to its end, on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Runs this work on a server with a number of concurrent clients.
pub(crate) fn run<W: Work>(work: W, server_id: u32, clients: usize, window: Duration) -> Result<Turn> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let (work, times) = (Rc::new(work), Rc::<RefCell<Vec<f64>>>::default());
        let mut running = JoinSet::new();
        for _ in 0..clients {
            running.spawn_local(client(Rc::clone(&work), Rc::clone(&times)));
        }
        let measured = async {
            sleep(WARM_UP).await;
            times.borrow_mut().clear();
            let before = (Instant::now(), cpu_time(server_id)?, cpu_time(process::id())?, cores::busy()?);
            sleep(window).await;
            let wall = before.0.elapsed().as_secs_f64();
            let (server, load) = (cpu_time(server_id)? - before.1, cpu_time(process::id())? - before.2);
            let busy = cores::busy()? - before.3;
            let times = times.take();
            ensure!(!times.is_empty(), "the server sent no answer within {window:?}");
            Ok(Turn {
                rate: times.len() as f64 / wall,
                server_cpu_us: server.as_secs_f64() * 1e6 / times.len() as f64,
                load_busy: load.as_secs_f64() / wall,
                others_busy: busy.saturating_sub(server).as_secs_f64() / wall,
                p50_us: median(&times),
                p99_us: percentile(&times, 0.99),
            })
        };
        tokio::select! {
            measured = measured => measured,
            ended = running.join_next() => match ended.context("there are no clients")?? {
                Err(error) => Err(error),
            },
        }
    })
}

async fn client<W: Work>(work: Rc<W>, times: Rc<RefCell<Vec<f64>>>) -> Result<Infallible> {
    let mut client = work.begin().await?;
    loop {
        let began = Instant::now();
        work.once(&mut client).await?;
        times.borrow_mut().push(began.elapsed().as_secs_f64() * 1e6);
        work.after(&mut client).await?;
    }
}
