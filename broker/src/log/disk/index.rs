//! Index files: the heads of a sealed segment's records, so that a start reads a tenth of the log.
//! `docs/disk-format.md` has their bytes.
//!
//! An index repeats information of its segment. If it is missing, torn or damaged, or belongs to another version, use
//! or extent, the segment is read instead and the index is written again. So nothing waits for an index, nobody relies
//! on its sync, and failing to write one is not a failure of the log. An index is written after its segment was synced.
//! So an intact index proves that all frames of the segment are on disk.

use std::io;

use super::{
    heads::{Heads, SegmentExtent},
    segment,
    storage::{Storage, StorageFile},
};

const MAGIC: &[u8; 8] = b"RESTIDX1";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 96;

/// The head of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexHead {
    /// The indexed part of the segment.
    pub(super) extent: SegmentExtent,
    /// Bytes of records that are needed until they are released.
    needed: u64,
    heads_bytes: u64,
    heads_crc: u32,
}

impl IndexHead {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let Self { extent: SegmentExtent { head, next_frame, end }, needed, heads_bytes, heads_crc } = self;
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let segment::Head { epoch, first_frame, mark, bytes: file_bytes, log } = *head;
        let numbers = [epoch, mark, first_frame, file_bytes, log, *next_frame, *end, *needed, *heads_bytes];
        for (field, number) in bytes[16..88].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        bytes[88..92].copy_from_slice(&heads_crc.to_le_bytes());
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        if &bytes[0..8] != MAGIC || u32_at(8) != VERSION || checksum(bytes) != u32_at(12) {
            return None;
        }
        let head = segment::Head {
            epoch: u64_at(16),
            mark: u64_at(24),
            first_frame: u64_at(32),
            bytes: u64_at(40),
            log: u64_at(48),
        };
        Some(Self {
            extent: SegmentExtent { head, next_frame: u64_at(56), end: u64_at(64) },
            needed: u64_at(72),
            heads_bytes: u64_at(80),
            heads_crc: u32_at(88),
        })
    }
}

fn checksum(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[0..12]), &head[16..HEAD_BYTES])
}

/// The name of a segment's index.
pub(super) fn name(segment: &str) -> String {
    format!("{}.idx", segment.trim_end_matches(".seg"))
}

/// The name of an index's segment.
pub(super) fn segment(name: &str) -> Option<String> {
    Some(format!("{}.seg", name.strip_suffix(".idx")?))
}

/// The head of a segment's index, if it exists and is intact.
pub(super) fn read_head<S: Storage>(storage: &S, segment: &str) -> Option<IndexHead> {
    open(storage, segment).map(|(_, head)| head)
}

/// The heads in a segment's index, if it is intact and has this extent.
pub(super) fn read<S: Storage>(storage: &S, segment: &str, extent: &SegmentExtent) -> Option<Heads> {
    let (file, head) = open(storage, segment).filter(|(_, head)| head.extent == *extent)?;
    let mut bytes = vec![0; head.heads_bytes as usize];
    file.read_at(&mut bytes, HEAD_BYTES as u64).ok()?;
    (crc32c::crc32c(&bytes) == head.heads_crc).then_some(Heads { bytes, needed: head.needed })
}

fn open<S: Storage>(storage: &S, segment: &str) -> Option<(S::File, IndexHead)> {
    let file = storage.open(&name(segment)).ok()?;
    // A broker that was killed leaves an empty one. To an inspection, a read behind the end would be a failed disk.
    let heads_bytes = file.size().ok()?.checked_sub(HEAD_BYTES as u64)?;
    let mut bytes = [0; HEAD_BYTES];
    file.read_at(&mut bytes, 0).ok()?;
    let head = IndexHead::decode(&bytes)?;
    (head.heads_bytes == heads_bytes).then_some((file, head))
}

/// Writes the index of a segment that is on disk.
pub(super) fn write<S: Storage>(
    storage: &S,
    segment: &str,
    extent: SegmentExtent,
    heads: &Heads,
) -> io::Result<()> {
    let head = IndexHead {
        extent,
        needed: heads.needed,
        heads_bytes: heads.bytes.len() as u64,
        heads_crc: crc32c::crc32c(&heads.bytes),
    };
    let name = name(segment);
    let written = storage.create(&name).and_then(|file| {
        file.write_at(&heads.bytes, HEAD_BYTES as u64)?;
        file.write_at(&head.encode(), 0)?;
        file.sync_data()
    });
    if written.is_err() {
        // A part of an index is useless and takes up space.
        let _ = storage.remove(&name);
    }
    written
}

/// Removes a segment's index, if it exists.
pub(super) fn remove<S: Storage>(storage: &S, segment: &str) -> io::Result<()> {
    match storage.remove(&name(segment)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
