//! The operator's last write of each object, so that no reconcile decides on an object older than that write.
//!
//! A watch reports a write some time after the write was answered. A reconcile in between would read the old status and
//! write it again.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The resourceVersion and the time of the last write of each object, by UID, and the highest resourceVersion ever
/// seen.
#[derive(Debug, Default)]
pub struct LastWrites {
    last: Mutex<HashMap<String, (u64, Instant)>>,
    highest: AtomicU64,
}

impl LastWrites {
    /// Records the answer of a write.
    pub fn record(&self, metadata: &ObjectMeta) {
        if let (Some(uid), Some(version)) = (metadata.uid.clone(), version(metadata)) {
            self.note_version(version);
            self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, (version, Instant::now()));
        }
    }

    /// Whether the object is older than our last write of it.
    pub fn is_stale(&self, metadata: &ObjectMeta) -> bool {
        let (Some(uid), Some(version)) = (&metadata.uid, version(metadata)) else {
            return false;
        };
        self.note_version(version);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(uid).is_some_and(|(last, _)| version < *last)
    }

    /// The time since the last write of an object.
    pub fn age(&self, uid: &str) -> Option<Duration> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(uid).map(|(_, at)| at.elapsed())
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// The highest resourceVersion ever seen.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    fn note_version(&self, version: u64) {
        self.highest.fetch_max(version, Ordering::Relaxed);
    }
}

/// The resourceVersion as a number: etcd's revision. API servers guarantee that it is comparable since 1.35 (KEP-5504).
fn version(metadata: &ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta { uid: Some(uid.into()), resource_version: Some(version.into()), ..ObjectMeta::default() }
    }

    #[test]
    fn only_an_object_older_than_our_write_is_stale() {
        let written = LastWrites::default();
        assert!(!written.is_stale(&metadata("a", "5")));
        written.record(&metadata("a", "10"));
        assert!(written.is_stale(&metadata("a", "9")));
        assert!(!written.is_stale(&metadata("a", "10")));
        assert!(!written.is_stale(&metadata("b", "9")));
        written.forget("a");
        assert!(!written.is_stale(&metadata("a", "9")));
        assert_eq!(written.highest(), 10);
    }
}
