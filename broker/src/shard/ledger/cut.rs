//! Snapshots of a shard's logs, for a backup.

use crate::{
    log::{DiskLog, disk::LogSnapshot},
    shard::{Shard, StoreFailed},
};

impl Shard<DiskLog> {
    /// A cut through the older logs and through this shard's own: see [`DiskLog::snapshot`].
    pub(crate) fn cut(&mut self) -> Result<(LogSnapshot, LogSnapshot), StoreFailed> {
        self.alive()?;
        Ok((self.ledger.log.snapshot_older(), self.ledger.log.snapshot()))
    }
}
