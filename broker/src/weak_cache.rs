//! A cache of values that are shared while someone holds them.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Entries before the first sweep of unused ones.
const SWEPT_FROM: usize = 64;

/// One value per key, shared by all holders and dropped with the last of them.
#[derive(Debug)]
pub struct WeakCache<K, V>(Mutex<Entries<K, V>>);

#[derive(Debug)]
struct Entries<K, V> {
    by_key: HashMap<K, Weak<V>>,
    /// Number of entries at which unused ones are swept.
    sweep_at: usize,
}

impl<K, V> Default for WeakCache<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Entries { by_key: HashMap::new(), sweep_at: SWEPT_FROM }))
    }
}

impl<K: Hash + Eq, V> WeakCache<K, V> {
    /// The value of a key, created unless someone holds it.
    pub fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = entries.by_key.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        if entries.by_key.len() >= entries.sweep_at {
            entries.by_key.retain(|_, value| value.strong_count() > 0);
            entries.sweep_at = entries.by_key.len() * 2 + SWEPT_FROM;
        }
        let value = Arc::new(make());
        entries.by_key.insert(key, Arc::downgrade(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_while_it_is_held() {
        let known = WeakCache::default();
        let seven = known.get(7, || 70);
        for key in 100..1100 {
            known.get(key, || key);
        }
        assert!(known.0.lock().unwrap().by_key.len() < 200);
        assert_eq!(*known.get(7, || 71), 70);
        drop(seven);
        assert_eq!(*known.get(7, || 72), 72);
    }
}
