//! Load: clients that each do one thing again and again.

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

/// Before a turn is measured: connections are made, and caches are as they will be.
pub(crate) const WARM_UP: Duration = Duration::from_millis(500);

/// From a receiver's request until its server is sure to have read it, and has nothing else to do.
pub(crate) const UNTIL_IT_WAITS: Duration = Duration::from_millis(2);

/// What clients do.
pub(crate) trait Work: 'static {
    /// What a client has: its connections, and what it is about to settle.
    type Client;

    /// Makes a client ready.
    async fn begin(&self) -> Result<Self::Client>;

    /// The thing itself, which is counted and timed.
    async fn once(&self, client: &mut Self::Client) -> Result<()>;

    /// What has to be done before it can be done again. Not timed.
    async fn after(&self, _client: &mut Self::Client) -> Result<()> {
        Ok(())
    }
}

/// What was measured of one server in one turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Requests answered per second.
    pub(crate) rate: f64,
    /// The server's CPU time per request, in microseconds.
    pub(crate) server_cpu_us: f64,
    /// The part of its core that the load took: near 1, it is the load that was measured and not the server.
    pub(crate) load_busy: f64,
    /// The part of the server's core that others took, who have no part in this. A server that waits for its disk may then
    /// wait for its core as well, for milliseconds.
    pub(crate) others_busy: f64,
    /// From the first byte of a request to the last of its answer, in microseconds: the median.
    pub(crate) p50_us: f64,
    /// The same: 99 of 100 are below.
    pub(crate) p99_us: f64,
}

/// Does something that is not measured, on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Keeps a server busy with this work, by so many clients at once.
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
            ensure!(!times.is_empty(), "nothing was answered in {window:?}");
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
