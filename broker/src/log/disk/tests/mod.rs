//! The promises of the log on a disk that fails in every way.

mod damage;
mod damage_reports;
mod failing;
mod faults;
mod fixture;
mod full_disk;
mod imitation;
mod index;
mod inspection;
mod model;
mod older;
mod owner;
mod pace;
mod page;
mod reclaim;
mod room;
mod single_change;
mod snapshot;
mod spares;
mod two_writers;

use super::{OlderLogs, OpenError, SoundLog, storage::Storage};

/// A log from which one worker will copy its records.
fn older_log<S: Storage>(storage: S) -> Result<OlderLogs<S>, OpenError> {
    OlderLogs::open(vec![SoundLog::inspect(storage)?], 1)
}
