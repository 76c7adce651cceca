//! Exponential back-off of failed reconciles, per object.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::shared::jitter;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait: a repair is noticed within five minutes, even without a watch event.
const LONGEST: Duration = Duration::from_secs(300);

/// The number of consecutive failures of each object, by UID. kube's error policy has no state of its own.
#[derive(Debug, Default)]
pub struct Backoffs(Mutex<HashMap<String, u32>>);

impl Backoffs {
    /// Counts a failure, and returns the wait before the next try.
    pub fn failed(&self, uid: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        jitter::around(after(*count))
    }

    /// Whether the last reconcile of the object failed.
    pub fn is_failing(&self, uid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(uid)
    }

    /// Forgets an object that succeeded or is gone.
    pub fn clear(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The wait after a number of consecutive failures. It doubles with each failure.
pub fn after(failures: u32) -> Duration {
    // 2^9 seconds already exceed the longest wait.
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(9)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let seconds: Vec<u64> = [1, 2, 3, 9, 10, 1000].map(|failures| after(failures).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }

    #[test]
    fn a_success_resets_the_wait() {
        let backoffs = Backoffs::default();
        for _ in 0..8 {
            backoffs.failed("a");
        }
        assert!(backoffs.failed("a") > Duration::from_secs(100));
        assert!(backoffs.failed("b") < Duration::from_secs(2));
        assert!(backoffs.is_failing("a"));
        backoffs.clear("a");
        assert!(!backoffs.is_failing("a"));
        assert!(backoffs.failed("a") < Duration::from_secs(2));
    }
}
