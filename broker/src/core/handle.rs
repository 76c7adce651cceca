//! A core as other threads reach it: by messages to its own, so that none waits behind its disk.

use std::sync::Arc;

use restante_wire::ChannelStats;
use tokio::sync::{mpsc, oneshot};

use super::{Core, CounterRegistry, Recorded, Samples, SharedCore, StoreFailed};
use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, State},
    clock::Clock,
    log::{DiskLog, Log, Sync, disk::Cut},
};

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
    // Unbounded, because its only users are the control API's requests, which wait for the answer.
    jobs: mpsc::UnboundedSender<Job<L>>,
    counters: Arc<CounterRegistry>,
    samples: Arc<Samples>,
    clock: Clock,
}

/// The jobs of a core's handles, to be done by [`Jobs::run`].
pub struct Jobs<L = DiskLog>(mpsc::UnboundedReceiver<Job<L>>);

impl<L> Clone for CoreHandle<L> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            counters: self.counters.clone(),
            samples: self.samples.clone(),
            clock: self.clock,
        }
    }
}

impl<L: Log> CoreHandle<L> {
    /// A handle for a core, and the jobs that it will send.
    pub fn new(core: &SharedCore<L>) -> (Self, Jobs<L>) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let (counters, samples, clock) = core.with(|core| (core.counters(), core.samples(), core.clock()));
        (Self { jobs, counters, samples, clock }, Jobs(receiver))
    }

    /// A channel's counters.
    pub fn counters(&self, number: u32) -> Arc<ChannelCounters> {
        self.counters.get(number)
    }

    /// What its log and tables hold.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Senders that wait for room, on all channels.
    pub fn waiting_senders(&self) -> u64 {
        self.counters.waiting_senders()
    }

    /// Receivers that wait, on all channels.
    pub fn waiting_receivers(&self) -> u64 {
        self.counters.waiting_receivers()
    }

    /// The clock that all times of the core are by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What channels hold now, read from their counters: the core is not disturbed.
    pub async fn stats(&self, channels: Vec<Arc<ChannelEntry>>) -> Result<Vec<ChannelStats>, CoreGone> {
        let now = self.clock.now();
        Ok(channels.iter().map(|entry| self.counters.get(entry.number).stats(&entry.config, now)).collect())
    }

    /// Begins a channel's deletion, if it is empty or `force` says so: from then on it takes no message. Returns how
    /// many go with it, or how many stand in the way.
    pub async fn close(&self, number: u32, force: bool) -> Result<Result<u64, u64>, CoreGone> {
        self.run(move |core| core.close(number, force)).await
    }

    /// Takes a deletion back that could not be stored.
    pub async fn reopen(&self, number: u32) {
        // A core that is gone holds nothing any more.
        let _ = self.run(move |core| core.reopen(number)).await;
    }

    /// Ends a channel's deletion, once the address store has forgotten it.
    pub async fn removed(&self, number: u32) {
        let _ = self.run(move |core| core.remove(number)).await;
    }

    /// These channels may have another configuration.
    pub async fn changed(&self, entries: Vec<Arc<ChannelEntry>>) {
        let _ = self.run(move |core| core.changed(&entries)).await;
    }

    /// Makes up to `limit` dead letters of a channel ready again, there or in `to`: how many, and how many are left. A few
    /// at a time, so that requests have their turn in between; on disk when it returns.
    pub async fn redrive(
        &self,
        entry: Arc<ChannelEntry>,
        to: Option<Arc<ChannelEntry>>,
        limit: u64,
    ) -> Result<(u64, u64), WorkFailed> {
        let (mut moved, mut from, mut brought) = (0, 0, None);
        loop {
            let (entry, to, max) = (entry.clone(), to.clone(), limit - moved);
            let turn = self.run(move |core| core.redrive(&entry, to.as_ref(), from, max, brought)).await??;
            moved += turn.moved;
            brought = match turn.coming {
                Some(coming) => {
                    let came = coming.await;
                    Some(Recorded::of(&self.run(|core| core.came(came)).await??))
                }
                None => None,
            };
            match turn.next.filter(|_| moved < limit) {
                Some(next) => from = next,
                None => {
                    turn.ticket.wait().await?;
                    return Ok((moved, turn.left));
                }
            }
        }
    }

    /// Drops all messages of some states: how many. A few at a time; on disk when it returns.
    pub async fn purge(&self, entry: Arc<ChannelEntry>, states: Vec<State>) -> Result<u64, WorkFailed> {
        let mut purged = 0;
        for state in states {
            loop {
                let entry = entry.clone();
                let (gone, ticket) = self.run(move |core| core.purge(&entry, state)).await??;
                purged += gone;
                if gone == 0 {
                    ticket.wait().await?;
                    break;
                }
            }
        }
        Ok(purged)
    }

    /// The addresses of these channels answer 404 from now on: whoever waits there is told.
    pub async fn withdrawn(&self, numbers: Vec<u32>) {
        let _ = self.run(move |core| numbers.into_iter().for_each(|number| core.withdraw(number))).await;
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Core<L>) -> T + Send + 'static,
    ) -> Result<T, CoreGone> {
        let (sender, receiver) = oneshot::channel();
        let job: Job<L> = Box::new(move |core| {
            // Whoever asked may have gone; what was asked is done all the same.
            let _ = sender.send(act(core));
        });
        self.jobs.send(job).map_err(|_| CoreGone)?;
        receiver.await.map_err(|_| CoreGone)
    }
}

impl CoreHandle<DiskLog> {
    /// The log as it is now: all that was answered by now is in it.
    pub async fn cut(&self) -> Result<Cut, WorkFailed> {
        let everything = self.run(|core| {
            core.sync();
            core.everything_so_far(Sync::Now)
        });
        everything.await?.wait().await?;
        Ok(self.run(Core::cut).await??)
    }
}

impl<L: Log> Jobs<L> {
    /// Does the jobs, on the core's thread, until every handle is gone.
    pub async fn run(mut self, core: SharedCore<L>) {
        while let Some(job) = self.0.recv().await {
            core.with(job);
        }
    }
}
