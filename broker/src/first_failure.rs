//! The first thing that failed for good, to be said once more as the last word: what follows from it says less.

use std::{
    fmt::Display,
    sync::{Arc, OnceLock},
};

/// What failed first of all that may. Cheap to clone; every clone is the same.
#[derive(Debug, Clone, Default)]
pub struct FirstFailure(Arc<OnceLock<String>>);

impl FirstFailure {
    /// Something failed.
    pub(crate) fn tell(&self, what: impl Display) {
        // What failed before is why this failed.
        let _ = self.0.set(what.to_string());
    }

    /// What failed first, if anything did.
    pub fn told(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
