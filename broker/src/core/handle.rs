//! A core as other threads reach it: by messages to its own, so that none waits behind its disk; and what its own has for theirs.

use std::{collections::BTreeMap, iter, sync::Arc};

use tokio::sync::{Barrier, mpsc, oneshot};

use super::{Core, Reach, Samples, SharedCore, StoreFailed};
use crate::log::{DiskLog, Log};

/// How many jobs another core does at a time. Requests of its own thread have their turn in between.
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
    /// The log has no room for what this writes.
    #[error(
        "there is no room on the disk for it: enlarge the volume, or receive messages so that room comes free"
    )]
    NoRoom,
}

/// Reaches a core from another thread.
pub struct CoreHandle<L = DiskLog> {
    // Both unbounded, because each job is of a request that waits for it, or ends it.
    jobs: mpsc::UnboundedSender<Vec<Job<L>>>,
    /// With the cores that are to do them.
    outgoing: mpsc::UnboundedSender<(usize, Job<L>)>,
    samples: Arc<Samples>,
}

/// What comes to a core and what goes from it to others, for [`Jobs::run`].
pub struct Jobs<L = DiskLog> {
    incoming: mpsc::UnboundedReceiver<Vec<Job<L>>>,
    outgoing: mpsc::UnboundedReceiver<(usize, Job<L>)>,
}

impl<L> Clone for CoreHandle<L> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), outgoing: self.outgoing.clone(), samples: self.samples.clone() }
    }
}

impl<L: Log> CoreHandle<L> {
    /// A handle for a core, and the jobs that it will bring.
    pub fn new(core: &SharedCore<L>) -> (Self, Jobs<L>) {
        let (jobs, incoming) = mpsc::unbounded_channel();
        let (to_others, outgoing) = mpsc::unbounded_channel();
        let samples = core.with(|core| core.samples());
        (Self { jobs, outgoing: to_others, samples }, Jobs { incoming, outgoing })
    }

    /// What its log and tables hold.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Does something with the core, when its thread comes to it; whoever is gone by then is not told.
    pub fn tell(&self, act: impl FnOnce(&mut Core<L>) + Send + 'static) -> Result<(), CoreGone> {
        self.send(vec![Box::new(act)])
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

    /// Does something with another core, from this one's thread: with all else that this turn of it has for the other.
    pub(super) fn tell_other(&self, other: usize, act: impl FnOnce(&mut Core<L>) + Send + 'static) {
        // A thread that ends does nothing more for anybody, and waits for nothing; the logs will say what is to be done.
        let _ = self.outgoing.send((other, Box::new(act)));
    }

    fn send(&self, jobs: Vec<Job<L>>) -> Result<(), CoreGone> {
        self.jobs.send(jobs).map_err(|_| CoreGone)
    }
}

impl<L: Log> Jobs<L> {
    /// Does what comes, on the core's thread, and sends what the thread has for others. Never ends.
    ///
    /// What it has for one of them goes at once, when the tasks had their turn: to wake a thread is most of what a hop costs.
    pub async fn run(&mut self, cores: &Reach<L>) {
        let Self { incoming, outgoing } = self;
        let take = async {
            while let Some(jobs) = incoming.recv().await {
                run_all(cores.own(), jobs);
            }
        };
        let give = async {
            let mut jobs = Vec::new();
            while outgoing.recv_many(&mut jobs, JOBS_PER_TURN).await > 0 {
                send_all(cores, jobs.drain(..));
            }
        };
        // In this order, so that the answers to what came go with the rest.
        tokio::join!(biased; take, give);
    }

    /// When the connections of all threads are over: sends what is left for others, and does what is left for this core, once
    /// all have sent theirs.
    pub async fn finish(mut self, cores: &Reach<L>, all: &Barrier) {
        send_all(cores, iter::from_fn(|| self.outgoing.try_recv().ok()));
        all.wait().await;
        while let Ok(jobs) = self.incoming.try_recv() {
            run_all(cores.own(), jobs);
        }
    }
}

/// Does jobs, on the core's thread.
fn run_all<L: Log>(core: &SharedCore<L>, jobs: Vec<Job<L>>) {
    core.with(|core| jobs.into_iter().for_each(|job| job(core)));
}

/// Sends each core its jobs, all at once.
fn send_all<L: Log>(cores: &Reach<L>, jobs: impl Iterator<Item = (usize, Job<L>)>) {
    let mut of_each: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    jobs.for_each(|(core, job)| of_each.entry(core).or_default().push(job));
    for (core, jobs) in of_each {
        // A core that has ended does nothing any more; whoever waits for it learns that.
        let _ = cores.handle(core).send(jobs);
    }
}
