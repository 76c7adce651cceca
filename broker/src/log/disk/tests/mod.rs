//! What the log promises, on a disk that does its worst.

mod cut;
mod damage;
mod examine;
mod failing;
mod faults;
mod fixture;
mod full_disk;
mod imitation;
mod index;
mod model;
mod older;
mod owner;
mod pace;
mod page;
mod reclaim;
mod room;
mod single_change;
mod spares;
mod told;
mod two_writers;

use super::{Older, OpenError, Sound, storage::Storage};

/// A log that one core is to copy.
fn older_log<S: Storage>(storage: S) -> Result<Older<S>, OpenError> {
    Older::open(vec![Sound::look(storage)?], 1)
}
