//! Read-only access to a folder. Unreadable parts are read as zeros, which are not valid frames.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Damage, DamageKind};
use crate::{
    files::{os_error, plain_file},
    log::disk::storage::{Storage, StorageFile, Volume},
};

/// The unit of reading around errors: a block of common disks and file systems.
const PIECE_BYTES: usize = 4096;

/// Unreadable pieces: the file and the offset.
type Unreadable = Arc<Mutex<BTreeSet<(String, u64)>>>;

#[derive(Debug, Clone)]
pub(super) struct ReadOnly {
    path: PathBuf,
    unreadable: Unreadable,
}

/// A file that never fails to read: unreadable pieces are recorded and read as zeros.
#[derive(Debug)]
pub(super) struct LenientFile {
    name: String,
    file: File,
    unreadable: Unreadable,
}

impl ReadOnly {
    pub(super) fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), unreadable: Unreadable::default() }
    }

    pub(super) fn unreadable(&self) -> Vec<Damage> {
        let pieces = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ranges: Vec<Damage> = Vec::new();
        for (file, from) in pieces.iter() {
            let to = from + PIECE_BYTES as u64;
            match ranges.last_mut() {
                Some(last) if last.file == *file && last.to == *from => last.to = to,
                _ => ranges.push(Damage {
                    from: *from,
                    to,
                    ..Damage::of_whole_file(file, 0, DamageKind::Unreadable)
                }),
            }
        }
        ranges
    }
}

impl Storage for ReadOnly {
    type File = LenientFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| os_error::with_missing_right(&self.path, error))?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
        // Sorted, so that repeated inspections produce the same report.
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<LenientFile> {
        let file = plain_file::open(&self.path.join(name))?.ok_or(ErrorKind::NotFound)?;
        Ok(LenientFile { name: name.to_owned(), file, unreadable: self.unreadable.clone() })
    }

    fn create(&self, _: &str) -> io::Result<LenientFile> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_folder(&self) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn random(&self) -> io::Result<u64> {
        Err(ErrorKind::Unsupported.into())
    }

    fn volume(&self) -> io::Result<Volume> {
        Err(ErrorKind::Unsupported.into())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl StorageFile for LenientFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if self.file.read_exact_at(bytes, offset).is_ok() {
            return Ok(());
        }
        let mut at = offset;
        let end = offset + bytes.len() as u64;
        while at < end {
            let piece = at / PIECE_BYTES as u64 * PIECE_BYTES as u64;
            let next = (piece + PIECE_BYTES as u64).min(end);
            let part = &mut bytes[(at - offset) as usize..(next - offset) as usize];
            if self.file.read_exact_at(part, at).is_err() {
                part.fill(0);
                let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                unreadable.insert((self.name.clone(), piece));
            }
            at = next;
        }
        Ok(())
    }

    fn read_cached_at(&self, _: &mut [u8], _: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn read_ahead(&self, _: u64, _: u64) {}

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }
}
