//! A trait for the file system, so that tests can make it fail.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSliceMut},
    num::NonZeroU64,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Advice, FallocateFlags, StatVfs, fadvise, fallocate, statvfs},
    io::{Errno, ReadWriteFlags, preadv2},
};

use crate::files::{os_error, plain_file};

/// The folder of a log.
pub trait Storage: Send + Sync + Clone + 'static {
    type File: StorageFile;

    /// The names of the files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens an existing file.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Creates a file, replacing an existing one.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_folder(&self) -> io::Result<()>;
    /// A random number that nobody can guess.
    fn random(&self) -> io::Result<u64>;
    /// The volume of the folder. Other processes may use it as well.
    fn volume(&self) -> io::Result<Volume>;
    /// Fails if another process may write to the folder: its lock is no longer this process's.
    fn is_ours(&self) -> io::Result<()> {
        Ok(())
    }
    /// A cheaper check of the lock's name only, for every sync.
    fn is_in_place(&self) -> io::Result<()> {
        Ok(())
    }
    /// The folder, for errors.
    fn path(&self) -> &Path;
}

/// The size of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    pub total: u64,
    /// Free bytes.
    pub available: u64,
}

/// A file of a log.
pub trait StorageFile: Send + Sync + 'static {
    fn size(&self) -> io::Result<u64>;
    /// Reads exactly the length of `bytes`.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// The same if all bytes are in memory. Otherwise returns false and leaves any content in `bytes`.
    fn read_cached_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<bool>;
    /// Announces a later read. Does not block.
    fn read_ahead(&self, offset: u64, bytes: u64);
    /// Allocates this number of bytes from the start of the file; unwritten bytes read as zeros. Fast, but some file
    /// systems do not support it.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes written bytes durable.
    fn sync_data(&self) -> io::Result<()>;
}

/// Checks that no other process may write to a folder.
pub trait Guard: Send + Sync {
    /// Fails if the lock was removed or replaced, or the folder was moved.
    fn is_in_place(&self) -> io::Result<()>;
    /// Also fails if another process has written to the lock.
    fn is_ours(&self) -> io::Result<()>;
}

#[derive(Clone)]
pub struct Folder {
    path: PathBuf,
    guard: Option<Arc<dyn Guard>>,
}

impl Folder {
    /// An existing folder.
    pub fn at(path: PathBuf) -> Self {
        Self { path, guard: None }
    }

    /// An existing folder from which the guard keeps other processes away.
    pub fn guarded(path: PathBuf, guard: Arc<dyn Guard>) -> Self {
        Self { path, guard: Some(guard) }
    }

    /// A folder, created if it does not exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self::at(path.to_owned()))
    }
}

impl Storage for Folder {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.path)
            .map_err(|error| os_error::with_missing_right(&self.path, error))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let file = plain_file::open_with(&self.path.join(name), OpenOptions::new().read(true).write(true))?;
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<File> {
        plain_file::create(&self.path.join(name), OpenOptions::new().read(true).write(true))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn random(&self) -> io::Result<u64> {
        Ok(getrandom::u64()?)
    }

    fn volume(&self) -> io::Result<Volume> {
        let StatVfs { f_frsize, f_blocks, f_bavail, .. } = statvfs(&self.path)?;
        Ok(Volume { total: f_frsize.saturating_mul(f_blocks), available: f_frsize.saturating_mul(f_bavail) })
    }

    fn is_ours(&self) -> io::Result<()> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.is_ours())
    }

    fn is_in_place(&self) -> io::Result<()> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.is_in_place())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl StorageFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn read_cached_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
        let wanted = bytes.len();
        match preadv2(self, &mut [IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read == wanted),
            // Not in memory, or not supported by the file system.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn read_ahead(&self, offset: u64, bytes: u64) {
        // This is only a hint.
        let _ = fadvise(self, offset, NonZeroU64::new(bytes), Advice::WillNeed);
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        Ok(fallocate(self, FallocateFlags::empty(), 0, bytes)?)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}
