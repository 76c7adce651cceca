//! The logs under test.

use tempfile::TempDir;

use super::{Subject, conform};
use crate::{
    data_folder::{DataFolder, DataFolderError},
    log::{
        DiskLog, Options,
        disk::simulated::Simulated,
        memory::{MemoryLog, Stream},
    },
};

/// Small, so that a test uses many segments.
const OPTIONS: Options = Options { segment_bytes: 64 << 10 };

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
}

impl OnDisk {
    fn lock(&self) -> Result<DataFolder, DataFolderError> {
        DataFolder::open(&self.place.path().join("data"), Default::default())
    }
}

impl Default for OnDisk {
    fn default() -> Self {
        Self { disk: Simulated::default(), place: TempDir::new().unwrap(), lock: None }
    }
}

impl Subject for OnDisk {
    type Log = DiskLog<Simulated>;

    fn open(&mut self) -> DiskLog<Simulated> {
        self.lock = None;
        self.lock = Some(self.lock().unwrap());
        self.disk = self.disk.after_kill();
        DiskLog::open_in(self.disk.clone(), OPTIONS).unwrap()
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
}

mod disk {
    use super::*;
    conform!(OnDisk);
}
