//! Threads that wait for the disk in the log's stead.

use std::{
    io,
    sync::mpsc::{self, Sender},
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};

/// A thread that does one thing after another, and tells how each went. Ends with its log, after what it was given: whoever
/// opens the folder next has it alone.
pub(super) struct Helper<Job, Report> {
    // Both unbounded, because the log gives no more than a few jobs at a time.
    jobs: Sender<Job>,
    reports: UnboundedReceiver<Report>,
    /// Dropped after its jobs' other end, so that it has nothing more to wait for.
    _thread: Joined,
}

/// A thread that is waited for when this is dropped.
pub(super) struct Joined(Option<JoinHandle<()>>);

impl<Job: Send + 'static, Report: Send + 'static> Helper<Job, Report> {
    /// Starts the thread.
    pub(super) fn start(
        name: &str,
        mut perform: impl FnMut(Job) -> Report + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, to_do) = mpsc::channel();
        let (done, reports) = unbounded_channel();
        let _thread = Joined::start(name, move || {
            for job in to_do {
                // A log that is gone wants no report.
                let _ = done.send(perform(job));
            }
        })?;
        Ok(Self { jobs, reports, _thread })
    }

    /// Gives the thread something to do.
    pub(super) fn give(&self, job: Job) {
        // A thread that panicked has no more reports, which is what the log asks for.
        let _ = self.jobs.send(job);
    }

    /// How the next thing went; none when the thread is gone.
    pub(super) fn poll_report(&mut self, context: &mut Context<'_>) -> Poll<Option<Report>> {
        self.reports.poll_recv(context)
    }

    /// The same, if it is over: whoever waits for it by [`Self::poll_report`] goes on waiting for the next.
    pub(super) fn try_report(&mut self) -> Option<Option<Report>> {
        match self.reports.try_recv() {
            Ok(report) => Some(Some(report)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(None),
        }
    }
}

impl Joined {
    pub(super) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        #[cfg(test)]
        starve::start()?;
        Ok(Self(Some(thread::Builder::new().name(name.into()).spawn(run)?)))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // One that panicked has left what a crash would have left, and the next start sees to it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
pub(super) mod starve {
    //! A system that gives a test only so many threads more.

    use std::{cell::Cell, io};

    use rustix::io::Errno;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// From now on the thread that calls this may start only so many.
    pub(in super::super) fn after(threads: Option<u32>) {
        LEFT.set(threads);
    }

    pub(super) fn start() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(Errno::AGAIN.into()),
            left => {
                LEFT.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}
