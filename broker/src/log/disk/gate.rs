//! A gate that a test closes in front of a disk: what the disk does then takes until the test opens it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

/// A test that waits for what the gate holds up would wait for ever: then the gate opens by itself, and says so.
const GIVES_UP_AFTER: Duration = Duration::from_secs(10);

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

    /// Whether somebody waits.
    pub(crate) fn holds_up(&self) -> bool {
        self.state().waiting > 0
    }
}
