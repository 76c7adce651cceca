//! The logs under test.

use tempfile::TempDir;

use super::{Subject, conform, promises::supersede_with_batches_in_flight};
use crate::{
    data_folder::{DataFolder, DataFolderError},
    log::{
        DiskLog, Options,
        disk::simulated::Simulated,
        memory::{MemoryLog, Stream},
    },
};

/// Small, so that a test uses many segments.
const SEGMENT_BYTES: u64 = 64 << 10;

/// The log in memory, whose batches arrive late and are answered in any order.
#[derive(Default)]
struct InMemory(Stream);

impl Subject for InMemory {
    type Log = MemoryLog;

    fn open(&mut self) -> MemoryLog {
        self.0.fail_after(None);
        MemoryLog::open(&self.0)
    }

    fn open_beside(&mut self) -> Option<MemoryLog> {
        Some(self.open())
    }

    fn fail(&mut self) {
        self.0.fail_after(Some(0));
    }
}

/// The log on a simulated disk, and the data folder whose lock excludes a second owner.
struct OnDisk {
    disk: Simulated,
    place: TempDir,
    lock: Option<DataFolder>,
    segment_bytes: u64,
}

impl OnDisk {
    fn lock(&self) -> Result<DataFolder, DataFolderError> {
        DataFolder::open(&self.place.path().join("data"), Default::default())
    }
}

impl Default for OnDisk {
    fn default() -> Self {
        Self {
            disk: Simulated::default(),
            place: TempDir::new().unwrap(),
            lock: None,
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

impl Subject for OnDisk {
    type Log = DiskLog<Simulated>;

    fn for_long_records() -> Self {
        Self { segment_bytes: 32 << 20, ..Self::default() }
    }

    fn open(&mut self) -> DiskLog<Simulated> {
        self.lock = None;
        self.lock = Some(self.lock().unwrap());
        self.disk = self.disk.after_kill();
        DiskLog::open_in(self.disk.clone(), Options { segment_bytes: self.segment_bytes }).unwrap()
    }

    fn open_beside(&mut self) -> Option<DiskLog<Simulated>> {
        assert!(matches!(self.lock(), Err(DataFolderError::Locked { .. })));
        None
    }

    fn fail(&mut self) {
        self.disk.fail_after(0);
    }
}

mod memory {
    use super::*;
    conform!(InMemory);

    #[test]
    fn a_batch_that_ends_as_fenced_may_or_may_not_be_in_the_log() {
        let fenced = supersede_with_batches_in_flight::<InMemory>().unwrap();
        assert!(fenced.in_log > 0 && fenced.lost > 0, "{fenced:?}");
    }
}

mod disk {
    use super::*;
    conform!(OnDisk);
}
