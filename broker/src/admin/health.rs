//! Whether the broker lives, and whether it serves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::address_store::AddressStore;

/// A core whose thread has not run for this long does not live: longer than any sync of a disk that still works.
const TICK_MAX: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_secs(1);

/// What the probes look at.
#[derive(Clone)]
pub struct Health {
    started: Instant,
    /// Milliseconds since `started` when the core's thread last ran.
    ticked: Arc<AtomicU64>,
    store: AddressStore,
    drain: CancellationToken,
    failed: CancellationToken,
}

impl Health {
    /// The health of a broker that has just started.
    pub fn new(store: AddressStore, drain: CancellationToken, failed: CancellationToken) -> Self {
        Self { started: Instant::now(), ticked: Arc::default(), store, drain, failed }
    }

    /// Shows, as a task on the core's thread, that the thread runs.
    pub async fn tick(self) {
        loop {
            self.ticked.store(self.started.elapsed().as_millis() as u64, Relaxed);
            sleep(TICK).await;
        }
    }

    /// Whether the core's thread runs.
    pub fn alive(&self) -> Result<(), &'static str> {
        let silent = self.started.elapsed().saturating_sub(Duration::from_millis(self.ticked.load(Relaxed)));
        if silent > TICK_MAX { Err("the thread of the channels has not run for 30 s") } else { Ok(()) }
    }

    /// Whether messages are taken and given.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.failed.is_cancelled() {
            Err("the disk failed")
        } else if self.drain.is_cancelled() {
            Err("shutting down")
        } else if !self.store.is_programmed() {
            Err("not programmed: no operator and no manifest has told the channels yet")
        } else {
            Ok(())
        }
    }
}
