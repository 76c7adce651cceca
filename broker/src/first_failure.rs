//! The first permanent failure, reported in the last log line: later failures only follow from it.

use std::{
    fmt::Display,
    sync::{Arc, OnceLock},
};

/// The first failure of several components. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct FirstFailure(Arc<OnceLock<String>>);

impl FirstFailure {
    /// Records a failure, unless an earlier one is recorded.
    pub(crate) fn record(&self, what: impl Display) {
        // An earlier failure is the cause of this one.
        let _ = self.0.set(what.to_string());
    }

    /// The first failure, if there is one.
    pub fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
