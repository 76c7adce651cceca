//! The mailbox of a worker: closures sent from other threads, so that none waits behind its disk; and the closures that
//! it sends to others.

use std::{collections::BTreeMap, iter, sync::Arc};

use tokio::sync::{Barrier, mpsc, oneshot};

use crate::{
    log::{DiskLog, Log},
    shard::{ReturnQueue, Samples, Shard, ShardGone},
    worker::{Router, SharedShard},
};

/// Jobs that another shard processes per turn. Requests of its own thread run in between.
const JOBS_PER_TURN: usize = 128;

/// A closure to run with the shard, on its thread.
type Job<L> = Box<dyn FnOnce(&mut Shard<L>) + Send>;

/// Sends jobs to a shard from another thread.
pub struct Mailbox<L = DiskLog> {
    // Both are unbounded: each job belongs to a request that waits for it, or ends one.
    jobs: mpsc::UnboundedSender<Vec<Job<L>>>,
    /// Jobs for other shards, with the shard's index.
    outgoing: mpsc::UnboundedSender<(usize, Job<L>)>,
    samples: Arc<Samples>,
}

/// The receiving ends of a mailbox, for [`MailboxDriver::run`].
pub struct MailboxDriver<L = DiskLog> {
    incoming: mpsc::UnboundedReceiver<Vec<Job<L>>>,
    /// Leased messages that were not sent.
    returns: ReturnQueue,
    outgoing: mpsc::UnboundedReceiver<(usize, Job<L>)>,
}

impl<L> Clone for Mailbox<L> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), outgoing: self.outgoing.clone(), samples: self.samples.clone() }
    }
}

impl<L: Log> Mailbox<L> {
    /// A mailbox for a shard, and its receiving ends.
    pub fn new(shard: &SharedShard<L>) -> (Self, MailboxDriver<L>) {
        let (jobs, incoming) = mpsc::unbounded_channel();
        let (to_others, outgoing) = mpsc::unbounded_channel();
        let (samples, returns) = shard.with(|shard| (shard.samples(), shard.returns()));
        (Self { jobs, outgoing: to_others, samples }, MailboxDriver { incoming, returns, outgoing })
    }

    /// Numbers of its log and tables.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Runs a closure on the shard's thread. Nothing reports if the thread ends before.
    pub fn tell(&self, act: impl FnOnce(&mut Shard<L>) + Send + 'static) -> Result<(), ShardGone> {
        self.send(vec![Box::new(act)])
    }

    /// [`Self::tell`], and waits for the result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Shard<L>) -> T + Send + 'static,
    ) -> Result<T, ShardGone> {
        let (sender, receiver) = oneshot::channel();
        self.tell(move |shard| {
            // The caller may be gone; the closure runs all the same.
            let _ = sender.send(act(shard));
        })?;
        receiver.await.map_err(|_| ShardGone)
    }

    /// Runs a closure on another shard, sent from this shard's thread in one batch with others of the same turn.
    pub(super) fn tell_other(&self, other: usize, act: impl FnOnce(&mut Shard<L>) + Send + 'static) {
        // A thread that ends does no more work for others, and waits for none. The logs record unfinished work.
        let _ = self.outgoing.send((other, Box::new(act)));
    }

    fn send(&self, jobs: Vec<Job<L>>) -> Result<(), ShardGone> {
        self.jobs.send(jobs).map_err(|_| ShardGone)
    }
}

impl<L: Log> MailboxDriver<L> {
    /// Runs incoming jobs on the shard's thread, and sends outgoing ones. Never ends.
    ///
    /// Outgoing jobs are sent in batches after the tasks had their turn: waking a thread is most of the cost of a hop.
    pub async fn run(&mut self, shards: &Router<L>) {
        let Self { incoming, returns, outgoing } = self;
        let take = async {
            while let Some(jobs) = incoming.recv().await {
                run_all(shards.own(), jobs);
            }
        };
        let take_back = async {
            let mut returned = Vec::new();
            while returns.recv_many(&mut returned, JOBS_PER_TURN).await > 0 {
                shards.own().with(|shard| shard.take_back(returned.drain(..)));
            }
        };
        let give = async {
            let mut jobs = Vec::new();
            while outgoing.recv_many(&mut jobs, JOBS_PER_TURN).await > 0 {
                send_all(shards, jobs.drain(..));
            }
        };
        // In this order, so that answers to incoming jobs are sent with the others.
        tokio::join!(biased; take, take_back, give);
    }

    /// Finishes after the connections of all threads have ended: sends the last jobs to others, and runs the last ones
    /// of this shard, once all have sent theirs.
    pub async fn finish(mut self, shards: &Router<L>, all: &Barrier) {
        send_all(shards, iter::from_fn(|| self.outgoing.try_recv().ok()));
        all.wait().await;
        while let Ok(jobs) = self.incoming.try_recv() {
            run_all(shards.own(), jobs);
        }
        let returned = iter::from_fn(|| self.returns.try_recv().ok());
        shards.own().with(|shard| shard.take_back(returned));
    }
}

/// Runs jobs on the shard's thread.
fn run_all<L: Log>(shard: &SharedShard<L>, jobs: Vec<Job<L>>) {
    shard.with(|shard| jobs.into_iter().for_each(|job| job(shard)));
}

/// Sends each shard its jobs in one batch.
fn send_all<L: Log>(shards: &Router<L>, jobs: impl Iterator<Item = (usize, Job<L>)>) {
    let mut of_each: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    jobs.for_each(|(shard, job)| of_each.entry(shard).or_default().push(job));
    for (shard, jobs) in of_each {
        // A shard that has ended runs no more jobs; callers that wait for one get an error.
        let _ = shards.handle(shard).send(jobs);
    }
}
