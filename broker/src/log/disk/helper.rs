//! Threads that wait for the disk on behalf of the log.

use std::{
    io,
    sync::mpsc::{self, Sender},
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};

/// A thread that performs jobs in order and reports each outcome. It ends with its log, after the jobs that it has:
/// then nobody writes to the folder when the log is opened again.
pub(super) struct Helper<Job, Report> {
    // Unbounded, because the log has only a few jobs at a time.
    jobs: Sender<Job>,
    reports: UnboundedReceiver<Report>,
    /// Dropped after the sender of its jobs, so that the thread ends.
    _thread: Joined,
}

/// A thread that is joined on drop.
pub(super) struct Joined(Option<JoinHandle<()>>);

impl<Job: Send + 'static, Report: Send + 'static> Helper<Job, Report> {
    pub(super) fn start(
        name: &str,
        mut perform: impl FnMut(Job) -> Report + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, to_do) = mpsc::channel();
        let (done, reports) = unbounded_channel();
        let _thread = Joined::start(name, move || {
            for job in to_do {
                // The receiver is gone if the log was dropped.
                let _ = done.send(perform(job));
            }
        })?;
        Ok(Self { jobs, reports, _thread })
    }

    pub(super) fn give(&self, job: Job) {
        // A panicked thread sends no more reports, and the log notices that.
        let _ = self.jobs.send(job);
    }

    /// The outcome of the next job; nothing when the thread is gone.
    pub(super) fn poll_report(&mut self, context: &mut Context<'_>) -> Poll<Option<Report>> {
        self.reports.poll_recv(context)
    }

    /// The same without waiting. It does not replace the waker of [`Self::poll_report`].
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
            // A panicked thread leaves the files as after a crash, and the next start recovers them.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
pub(super) mod starve {
    //! Limits the number of threads that a test can start.

    use std::{cell::Cell, io};

    use rustix::io::Errno;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Limits the threads that the current thread may still start.
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
