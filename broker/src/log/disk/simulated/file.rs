//! A file on the simulated disk.

use std::{io, thread};

use rustix::io::Errno;

use super::{SECTOR, SPARES, SimulatedFile};
use crate::log::disk::storage::StorageFile;

/// The longest file that always stays in memory.
const SMALL_BYTES: u64 = 4096;

impl StorageFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents[&self.id].bytes.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.slow_down(|slowness| slowness.read.clone());
        let state = self.disk.state();
        if state.reads_fail {
            return Err(io::ErrorKind::Other.into());
        }
        let offset = offset as usize;
        let is_bad =
            |(id, at): &(u64, usize)| *id == self.id && *at < offset + bytes.len() && offset < *at + SECTOR;
        if state.bad.iter().any(is_bad) {
            return Err(Errno::IO.into());
        }
        let content = &state.contents[&self.id].bytes;
        let from = content.get(offset..offset + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn read_cached_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
        // A file that is written again and again stays in memory, like `synced`.
        let small = self.size()? <= SMALL_BYTES;
        let cached = small || self.disk.slowness.lock().unwrap().read.is_none();
        if small {
            let state = self.disk.state();
            let from = state.contents[&self.id].bytes.get(offset as usize..offset as usize + bytes.len());
            bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        } else if cached {
            self.read_at(bytes, offset)?;
        }
        Ok(cached)
    }

    fn read_ahead(&self, _: u64, _: u64) {}

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.disk.state().allocations += 1;
        let size = self.size()?;
        self.write_at(&vec![0; bytes.saturating_sub(size) as usize], size)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if thread::current().name() == Some(SPARES) {
            let before = self.disk.slowness.lock().unwrap().spare.clone();
            before.into_iter().for_each(|before| before());
        }
        let mut state = self.disk.state();
        state.operate()?;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let (_, left) = self.disk.total_and_left(&state);
        let content = state.contents.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let grown = end.saturating_sub(content.bytes.len());
        if grown > left {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if grown > 0 {
            content.bytes.resize(end, 0);
        }
        for sector in start / SECTOR..end.div_ceil(SECTOR) {
            let whole = sector * SECTOR..content.bytes.len().min((sector + 1) * SECTOR);
            let old = content.bytes[whole].to_vec();
            let old = content.forgotten.remove(&sector).unwrap_or(old);
            content.on_disk.entry(sector).or_insert(old);
        }
        content.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.slow_down(|slowness| slowness.sync.clone());
        let mut state = self.disk.state();
        state.operate()?;
        if state.syncs_fail {
            return Err(io::ErrorKind::Other.into());
        }
        if let Some(content) = state.contents.get_mut(&self.id) {
            content.on_disk.clear();
        }
        Ok(())
    }
}
