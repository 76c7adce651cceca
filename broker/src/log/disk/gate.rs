//! A gate in front of a simulated disk: while a test keeps it closed, operations of the disk block.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use super::{DiskLog, pace::Pace, simulated::Simulated};

/// A test that waits for a blocked operation would hang. Then the gate opens after this time, and fails the test.
const GIVES_UP_AFTER: Duration = Duration::from_secs(10);

/// The threads that wait for the disk on behalf of the log.
const HELPERS: [&str; 2] = ["log-writes", "log-syncs"];

#[derive(Debug, Default)]
struct State {
    closed: bool,
    waiting: usize,
    gave_up: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Blocks all later passages.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Opens the gate, and asserts that no passage has timed out.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        state.closed = false;
        assert!(!state.gave_up, "a test waited for an operation that the gate blocked");
        self.0.1.notify_all();
    }

    /// Blocks the log's helper threads at the gate, without a time-out. The worker thread is not blocked: it is the
    /// test's own thread, and nobody else would open the gate.
    pub(crate) fn hold_back_helpers(&self, disk: &Simulated) {
        let gate = self.clone();
        disk.before_sync(move || {
            if thread::current().name().is_some_and(|name| HELPERS.contains(&name)) {
                let mut state = gate.state();
                state.waiting += 1;
                let mut state = gate.0.1.wait_while(state, |state| state.closed).unwrap();
                state.waiting -= 1;
            }
        });
    }

    /// Passes the gate; blocks while it is closed.
    pub(crate) fn pass(&self) {
        let mut state = self.state();
        state.waiting += 1;
        let (mut state, waited) =
            self.0.1.wait_timeout_while(state, GIVES_UP_AFTER, |state| state.closed).unwrap();
        state.waiting -= 1;
        state.gave_up |= waited.timed_out();
        state.closed &= !waited.timed_out();
    }

    /// The number of threads blocked until the gate opens.
    fn held_back(&self) -> usize {
        let state = self.state();
        if state.closed { state.waiting } else { 0 }
    }

    /// Whether the gate is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Whether a thread waits at the gate.
    pub(crate) fn holds_up(&self) -> bool {
        self.state().waiting > 0
    }
}

impl DiskLog<Simulated> {
    /// Whether the log's threads have finished their jobs, except for those blocked at the gate. Their outcomes may not
    /// be polled yet.
    pub(crate) fn is_at_rest(&mut self, gate: &Gate) -> bool {
        self.spares.wait();
        // A disk behind a gate must not count as fast.
        self.pace = Pace::new();
        let writes = usize::from(self.progress.writing.is_some());
        let settles = usize::from(self.progress.syncing.is_some() || self.freeing.is_some());
        let mut context = Context::from_waker(Waker::noop());
        let mut read = self.segments.values().map(|segment| &segment.file.reads);
        read.all(|reads| reads.poll_over(&mut context).is_ready()) && writes + settles == gate.held_back()
    }
}
