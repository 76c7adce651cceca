//! A core as other threads reach it: by messages to its own, so that none waits behind its disk.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{Core, Samples, SharedCore, StoreFailed};
use crate::log::{DiskLog, Log};

/// How many messages are taken at a time. Requests of the core's own thread have their turn in between.
const JOBS_PER_TURN: usize = 128;

/// Something to be done with the core, on its thread.
type Job<L> = Box<dyn FnOnce(&mut Core<L>) + Send>;

/// The core's thread has ended: the broker is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker is shutting down")]
pub struct CoreGone;

/// Why a long work on a core was not done to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkFailed {
    /// The broker is shutting down.
    #[error(transparent)]
    Gone(#[from] CoreGone),
    /// The log failed.
    #[error(transparent)]
    Store(#[from] StoreFailed),
}

/// Reaches a core from another thread.
pub struct CoreHandle<L = DiskLog> {
    // Unbounded, because each is of a request that waits for it, or ends it.
    jobs: mpsc::UnboundedSender<Job<L>>,
    samples: Arc<Samples>,
}

/// The jobs of a core's handles, to be done by [`Jobs::run`].
pub struct Jobs<L = DiskLog>(mpsc::UnboundedReceiver<Job<L>>);

impl<L> Clone for CoreHandle<L> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), samples: self.samples.clone() }
    }
}

impl<L: Log> CoreHandle<L> {
    /// A handle for a core, and the jobs that it will send.
    pub fn new(core: &SharedCore<L>) -> (Self, Jobs<L>) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        (Self { jobs, samples: core.with(|core| core.samples()) }, Jobs(receiver))
    }

    /// What its log and tables hold.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Does something with the core, when its thread comes to it; whoever is gone by then is not told.
    pub fn tell(&self, act: impl FnOnce(&mut Core<L>) + Send + 'static) -> Result<(), CoreGone> {
        self.jobs.send(Box::new(act)).map_err(|_| CoreGone)
    }

    /// The same, and waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Core<L>) -> T + Send + 'static,
    ) -> Result<T, CoreGone> {
        let (sender, receiver) = oneshot::channel();
        self.tell(move |core| {
            // Whoever asked may have gone; what was asked is done all the same.
            let _ = sender.send(act(core));
        })?;
        receiver.await.map_err(|_| CoreGone)
    }
}

impl<L: Log> Jobs<L> {
    /// Does the jobs, on the core's thread, until every handle is gone: all that have come meanwhile in one turn.
    pub async fn run(mut self, core: SharedCore<L>) {
        let mut jobs = Vec::new();
        while self.0.recv_many(&mut jobs, JOBS_PER_TURN).await > 0 {
            core.with(|core| jobs.drain(..).for_each(|job| job(core)));
        }
    }
}
