//! Unreadable objects that were reported.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kube::core::error_boundary::InvalidObject;

/// The generations already reported as unreadable, by UID. Each report triggers a reconcile, so a repeated report would
/// loop.
#[derive(Debug, Default)]
pub struct Reported(Mutex<HashMap<String, Option<i64>>>);

impl Reported {
    pub fn contains(&self, invalid: &InvalidObject) -> bool {
        let uid = invalid.metadata.uid.as_deref().unwrap_or_default();
        let merged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        merged.get(uid) == Some(&invalid.metadata.generation)
    }

    pub fn mark(&self, invalid: &InvalidObject) {
        let uid = invalid.metadata.uid.clone().unwrap_or_default();
        let mut merged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        merged.insert(uid, invalid.metadata.generation);
    }
}
