//! Pseudorandom numbers that a seed repeats.

use crate::content;

#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent generator for another task.
    pub(super) fn fork(&mut self) -> Self {
        Self(content::next(&mut self.0))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        content::next(&mut self.0) % end
    }

    /// True with a probability of `often` percent.
    pub(super) fn percent(&mut self, often: u64) -> bool {
        self.below(100) < often
    }
}
