//! Segment files: fixed in size, zeroed before their first use, and recycled. `docs/disk-format.md` has their bytes.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{
    SEGMENT_BYTES_MAX,
    readers::Reads,
    storage::{Storage, StorageFile},
};
use crate::files::Misplaced;

/// Bytes before the first frame: one block of common disks, so that the head is written separately.
pub(super) const HEAD_BYTES: u64 = 4096;
const MAGIC: &[u8; 8] = b"RESTLOG1";
/// Version 1 had neither the file's length nor the log's id. Only builds before the first release wrote it.
pub(super) const VERSION: u32 = 1;
/// Bytes of the head's fields: within one sector, which a disk writes completely or not at all.
pub(super) const FIELDS: usize = 56;
/// A piece of the zeros of a spare: small enough for the processor's cache.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// Bytes of a spare per sync.
const SYNCED_BYTES: u64 = 1 << 20;

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Increases by one with each use of a segment, across the whole log.
    pub(super) epoch: u64,
    /// The number of its first frame. Frames of earlier epochs with this number or a higher one are void.
    pub(super) first_frame: u64,
    /// Identifies its frames. Random, so that nothing else in its blocks can be mistaken for a frame.
    pub(super) mark: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// The log's id.
    pub(super) log: u64,
}

/// The kind of a file, by its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// In use.
    Segment(Head),
    /// All zeros: ready for use.
    Spare,
    /// Neither. A power cut cannot leave this, because the fields are within one sector.
    Damaged,
    /// From another version, or with damage in the version number.
    Other(u32),
}

impl Head {
    pub(super) fn write(&self, file: &impl StorageFile) -> io::Result<()> {
        file.write_at(&self.encode(), 0)?;
        file.sync_data()
    }

    pub(super) fn encode(&self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_frame.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.mark.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.log.to_le_bytes());
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

fn checksum(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[0..12]), &head[16..FIELDS])
}

pub(super) fn read_head(file: &impl StorageFile) -> io::Result<FileKind> {
    if file.size()? < HEAD_BYTES {
        return Ok(FileKind::Damaged);
    }
    let mut bytes = [0; FIELDS];
    file.read_at(&mut bytes, 0)?;
    Ok(parse_head(&bytes))
}

/// Parses the fields of a head.
pub(super) fn parse_head(bytes: &[u8; FIELDS]) -> FileKind {
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    if *bytes == [0; FIELDS] {
        return FileKind::Spare;
    }
    if &bytes[0..8] != MAGIC {
        return FileKind::Damaged;
    }
    // Before the checksum, which another version may compute differently.
    if u32_at(8) != VERSION {
        let version = u32_at(8);
        return match is_damaged_version(bytes, version) {
            true => FileKind::Damaged,
            false => FileKind::Other(version),
        };
    }
    if checksum(bytes) != u32_at(12) {
        return FileKind::Damaged;
    }
    FileKind::Segment(Head {
        epoch: u64_at(16),
        first_frame: u64_at(24),
        mark: u64_at(32),
        bytes: u64_at(40),
        log: u64_at(48),
    })
}

/// Whether the version number of a head is damaged, and not a valid one of another version: with this version's number
/// the checksum matches, or the number is far above any version to be expected soon.
fn is_damaged_version(head: &[u8; FIELDS], version: u32) -> bool {
    let mut fields = *head;
    let crc = u32::from_le_bytes(std::array::from_fn(|index| fields[12 + index]));
    fields[8..12].copy_from_slice(&VERSION.to_le_bytes());
    !(1..1 << 8).contains(&version) || checksum(&fields) == crc
}

/// The file of a segment, in use or ready.
#[derive(Debug)]
pub(super) struct SegmentFile<F> {
    pub(super) name: String,
    pub(super) file: F,
    pub(super) bytes: u64,
    pub(super) reads: Reads,
    /// Partial frames that were warned about, by the segment's epoch and the frame's offset.
    warned: Mutex<BTreeSet<(u64, u64)>>,
}

impl<F> SegmentFile<F> {
    pub(super) fn new(name: String, file: F, bytes: u64) -> Self {
        Self { name, file, bytes, reads: Reads::default(), warned: Mutex::default() }
    }

    /// Warns once about a partial frame, however often the segment is read: only contents of messages in it are
    /// damaged.
    pub(super) fn warn_of_partial(&self, folder: &Path, epoch: u64, offset: u64) {
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert((epoch, offset)) {
            tracing::warn!(
                file = %folder.join(&self.name).display(),
                offset,
                "messages here are unreadable or damaged; each becomes a dead letter at its next delivery"
            );
        }
    }
}

impl<F: StorageFile> SegmentFile<F> {
    /// Reads the whole file.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.bytes as usize];
        self.file.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// Opens a segment's file, and returns its length.
pub(super) fn open<S: Storage>(storage: &S, name: &str) -> io::Result<(S::File, u64)> {
    let file = storage.open(name)?;
    let bytes = file.size()?;
    if bytes > SEGMENT_BYTES_MAX {
        return Err(Misplaced::Long { bytes, bytes_max: SEGMENT_BYTES_MAX }.into());
    }
    Ok((file, bytes))
}

pub(super) fn name(number: u64) -> String {
    format!("{number:08}.seg")
}

pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// Makes a spare. It is written with zeros, so that later writes convert no extents and need no new blocks. As soon as
/// `hurry` is set, the rest is only reserved: a segment with slower syncs is better than none.
pub(super) fn make_spare<S: Storage>(
    storage: &S,
    number: u64,
    bytes: u64,
    hurry: &AtomicBool,
) -> io::Result<SegmentFile<S::File>> {
    let (name, unfinished) = (name(number), format!("{number:08}.tmp"));
    let made = (|| {
        let file = storage.create(&unfinished)?;
        let mut offset = 0;
        while offset < bytes {
            if hurry.load(Relaxed) && file.allocate(bytes).is_ok() {
                file.sync_data()?;
                break;
            }
            let length = ZEROS.len().min((bytes - offset) as usize);
            file.write_at(&ZEROS[..length], offset)?;
            offset += length as u64;
            // In pieces, so that a sync of the log waits for one piece at most, and not for the whole file.
            if offset.is_multiple_of(SYNCED_BYTES) || offset == bytes {
                file.sync_data()?;
            }
        }
        // A broker that was started beside this one would use the same file numbers. None of its segments must be
        // replaced.
        storage.is_ours()?;
        if storage.open(&name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        storage.rename(&unfinished, &name)?;
        storage.sync_folder()?;
        Ok(file)
    })();
    match made {
        Ok(file) => Ok(SegmentFile::new(name, file, bytes)),
        Err(error) => {
            // The unfinished file must not take up room.
            let _ = storage.remove(&unfinished);
            Err(error)
        }
    }
}

/// Writes zeros to a range of a file.
pub(super) fn write_zeros(file: &impl StorageFile, mut from: u64, to: u64) -> io::Result<()> {
    while from < to {
        let length = (ZEROS.len() as u64).min(to - from);
        file.write_at(&ZEROS[..length as usize], from)?;
        from += length;
    }
    Ok(())
}

/// Turns a used file into a spare. Synced, so that no restart takes it for a segment after a later one was freed as
/// well.
pub(super) fn blank<F: StorageFile>(segment: &SegmentFile<F>) -> io::Result<()> {
    segment.file.write_at(&[0; HEAD_BYTES as usize], 0)?;
    segment.file.sync_data()
}
