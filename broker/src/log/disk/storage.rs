//! The file system behind a small trait, so that tests can make it fail.

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

use crate::data_folder::{os_error, plain_file};

/// What a log asks of a file system.
pub trait Storage: Send + Sync + Clone + 'static {
    /// An open file.
    type File: StorageFile;

    /// The names in the folder.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Makes a file, or makes it anew.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals last.
    fn sync_folder(&self) -> io::Result<()>;
    /// A random number, which nobody else can guess.
    fn random(&self) -> io::Result<u64>;
    /// How full the volume is that the folder is on. Others may use it as well.
    fn volume(&self) -> io::Result<Volume>;
    /// Whether nobody else may write to the folder: fails when its lock is not this process's any more.
    fn is_ours(&self) -> io::Result<()> {
        Ok(())
    }
    /// The same, as far as one look at the lock's name tells: for whoever asks at each sync.
    fn is_in_place(&self) -> io::Result<()> {
        Ok(())
    }
    /// The folder, as errors name it.
    fn path(&self) -> &Path;
}

/// How full a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Its bytes.
    pub total: u64,
    /// Those that can still be had.
    pub available: u64,
}

/// What a log asks of a file.
pub trait StorageFile: Send + Sync + 'static {
    /// Bytes of the file.
    fn size(&self) -> io::Result<u64>;
    /// Reads exactly so many bytes.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// The same if all of them are in memory: false, and anything may be in `bytes`, if they are not.
    fn read_cached_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<bool>;
    /// Says that so many bytes will be read soon. Waits for nothing.
    fn read_ahead(&self, offset: u64, bytes: u64);
    /// Makes room for so many bytes from the file's beginning on; what was not written reads as zeros. At once, and not with
    /// every file system.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Writes all bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written last.
    fn sync_data(&self) -> io::Result<()>;
}

/// Says whether nobody else may write to a folder.
pub trait Guard: Send + Sync {
    /// Whether the lock has its name still: not if it was removed or replaced, or the folder was moved away.
    fn is_in_place(&self) -> io::Result<()>;
    /// The same, and whether nobody else has written to the lock.
    fn is_ours(&self) -> io::Result<()>;
}

/// A folder of the real file system.
#[derive(Clone)]
pub struct Folder {
    path: PathBuf,
    guard: Option<Arc<dyn Guard>>,
}

impl Folder {
    /// A folder that is there.
    pub fn at(path: PathBuf) -> Self {
        Self { path, guard: None }
    }

    /// The same, of which somebody else keeps others away.
    pub fn guarded(path: PathBuf, guard: Arc<dyn Guard>) -> Self {
        Self { path, guard: Some(guard) }
    }

    /// A folder, made if it is not there.
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
            // Not in memory; or a file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn read_ahead(&self, offset: u64, bytes: u64) {
        // Only advice.
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
