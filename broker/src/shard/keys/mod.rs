//! Idempotency keys: pushes that were answered, remembered for their channel's deduplication window.

pub(in crate::shard) mod lookup;
mod table;

pub use lookup::KeyRecords;
pub use table::{Fingerprint, KeyHash, KeyRecord, KeyTable, PushKey, fingerprint, hash};
