//! Liveness and readiness of the broker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{address_store::AddressStore, drain::Drain};

/// If a worker has not run for this long, the broker is not live: this is longer than any sync of a working
/// disk.
const TICK_MAX: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_secs(1);

/// The state that the probes check.
#[derive(Clone)]
pub struct Health {
    started: Instant,
    /// Milliseconds since `started` when each worker last ran.
    ticked: Arc<[AtomicU64]>,
    store: AddressStore,
    drain: Drain,
    failed: CancellationToken,
}

/// The heartbeat of one worker.
pub struct WorkerHealth {
    worker: usize,
    started: Instant,
    ticked: Arc<[AtomicU64]>,
}

impl WorkerHealth {
    /// Records periodically that the worker runs. Must be a task on its thread.
    pub async fn tick(self) {
        loop {
            self.ticked[self.worker].store(self.started.elapsed().as_millis() as u64, Relaxed);
            sleep(TICK).await;
        }
    }
}

impl Health {
    /// The health of a broker that has just started, and the heartbeats for its workers.
    pub fn new(
        workers: usize,
        store: AddressStore,
        drain: Drain,
        failed: CancellationToken,
    ) -> (Self, Vec<WorkerHealth>) {
        let started = Instant::now();
        let ticked: Arc<[_]> = (0..workers).map(|_| AtomicU64::default()).collect();
        let of_each =
            (0..workers).map(|worker| WorkerHealth { worker, started, ticked: ticked.clone() }).collect();
        (Self { started, ticked, store, drain, failed }, of_each)
    }

    /// Liveness: whether all workers run.
    pub fn alive(&self) -> Result<(), &'static str> {
        let silent = |ticked: &AtomicU64| {
            self.started.elapsed().saturating_sub(Duration::from_millis(ticked.load(Relaxed)))
        };
        let all_run = self.ticked.iter().all(|ticked| silent(ticked) <= TICK_MAX);
        if all_run { Ok(()) } else { Err("a worker thread has not run for 30 s") }
    }

    /// Readiness: whether the broker accepts and delivers messages.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.failed.is_cancelled() {
            Err("the disk failed")
        } else if self.drain.has_begun() {
            Err("shutting down")
        } else if !self.store.is_programmed() {
            Err("not programmed: no channel configuration received yet (from the operator or --manifests)")
        } else {
            Ok(())
        }
    }
}
