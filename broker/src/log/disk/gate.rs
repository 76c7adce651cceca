//! A gate that a test closes in front of a disk: what the disk does then takes until the test opens it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use super::{DiskLog, pace::Pace, simulated::Simulated};

/// A test that waits for what the gate holds up would wait for ever: then the gate opens by itself, and says so.
const GIVES_UP_AFTER: Duration = Duration::from_secs(10);

/// The threads that wait for the disk in the log's stead.
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

    /// From now on nobody passes.
    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    /// Everybody passes. Nobody gave up on it until now.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        state.closed = false;
        assert!(!state.gave_up, "somebody waited for what the gate held up");
        self.0.1.notify_all();
    }

    /// Lets the log's helpers through to the disk only while it is open, for as long as the test likes. The thread that serves is
    /// the test's own, and has nobody who would open the gate for it.
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

    /// Goes through; waits in front of a closed gate.
    pub(crate) fn pass(&self) {
        let mut state = self.state();
        state.waiting += 1;
        let (mut state, waited) =
            self.0.1.wait_timeout_while(state, GIVES_UP_AFTER, |state| state.closed).unwrap();
        state.waiting -= 1;
        state.gave_up |= waited.timed_out();
        state.closed &= !waited.timed_out();
    }

    /// How many wait until somebody opens it.
    fn held_back(&self) -> usize {
        let state = self.state();
        if state.closed { state.waiting } else { 0 }
    }

    /// Whether nobody passes.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Whether somebody waits.
    pub(crate) fn holds_up(&self) -> bool {
        self.state().waiting > 0
    }
}

impl DiskLog<Simulated> {
    /// Whether its threads have done what they were given, but for what the gate holds up. News of it may be untold.
    pub(crate) fn is_at_rest(&mut self, gate: &Gate) -> bool {
        self.spares.wait();
        // A disk that a gate holds up is never known to be a fast one.
        self.pace = Pace::new();
        let writes = usize::from(self.progress.writing.is_some());
        let settles = usize::from(self.progress.syncing.is_some() || self.freeing.is_some());
        let mut context = Context::from_waker(Waker::noop());
        let mut read = self.segments.values().map(|segment| &segment.file.reads);
        read.all(|reads| reads.poll_over(&mut context).is_ready()) && writes + settles == gate.held_back()
    }
}
