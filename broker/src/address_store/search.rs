//! Search for whole entries behind damage.

use std::io::{self, Read, Seek, SeekFrom};

use super::frame::{self, Frame, MAGIC, ReadError};

/// How far to search behind damage: more than a journal has, and short enough to finish within a second. A sparse file
/// may be long without much content.
const SEARCHED_BYTES_MAX: u64 = 256 << 20;
/// Bytes of look-alikes to read before giving up, so that a crafted file cannot block a start.
const REJECTED_BYTES_MAX: u64 = 1 << 30;
/// Bytes per read.
const PIECE_BYTES: u64 = 64 << 10;

/// The next entry behind damage.
#[derive(Debug)]
pub(super) enum NextEntry {
    /// A whole entry, and its offset.
    Entry(u64, Frame),
    /// No further entry.
    Nothing,
    /// Unknown: the search ended at this offset without an entry.
    NotSearched(u64),
}

/// Finds the first whole entry at or after an offset whose sequence is at least `sequence`.
pub(super) fn next_entry<R: Read + Seek>(
    from: &mut R,
    mut at: u64,
    length: u64,
    sequence: u64,
) -> io::Result<NextEntry> {
    let mut piece = Vec::new();
    let (end, mut rejected_bytes) = (length.min(at.saturating_add(SEARCHED_BYTES_MAX)), 0);
    while at < end {
        piece.clear();
        from.seek(SeekFrom::Start(at))?;
        // The overlap keeps magic bytes that cross the border of two pieces together.
        let overlap = MAGIC.len() as u64 - 1;
        from.take(PIECE_BYTES + overlap).read_to_end(&mut piece)?;
        for (index, _) in piece.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC) {
            let place = at + index as u64;
            from.seek(SeekFrom::Start(place))?;
            match frame::read(from) {
                Ok(Some(frame)) if frame.sequence >= sequence => return Ok(NextEntry::Entry(place, frame)),
                Ok(_) | Err(ReadError::Damaged(_)) => {
                    rejected_bytes += from.stream_position()? - place;
                    if rejected_bytes > REJECTED_BYTES_MAX {
                        return Ok(NextEntry::NotSearched(place));
                    }
                }
                Err(ReadError::Io(error)) => return Err(error),
            }
        }
        at += PIECE_BYTES;
    }
    Ok(if end < length { NextEntry::NotSearched(end) } else { NextEntry::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8], from: u64, sequence: u64) -> Option<(u64, u64)> {
        match next_entry(&mut io::Cursor::new(bytes), from, bytes.len() as u64, sequence).unwrap() {
            NextEntry::Entry(at, frame) => Some((at, frame.sequence)),
            NextEntry::Nothing => None,
            NextEntry::NotSearched(at) => panic!("searched up to {at}"),
        }
    }

    #[test]
    fn a_whole_entry_is_found_behind_garbage_wherever_it_starts() {
        for before in [0, 1, 3, PIECE_BYTES as usize - 2, PIECE_BYTES as usize, 3 * PIECE_BYTES as usize - 1]
        {
            let mut bytes = b"RsaRsa1 garbage"[..before.min(15)].to_vec();
            bytes.resize(before, 7);
            frame::encode(7, b"payload", &mut bytes);
            assert_eq!(found(&bytes, 0, 7), Some((before as u64, 7)));
            assert_eq!((found(&bytes, 0, 8), found(&bytes, before as u64 + 1, 7)), (None, None));
            bytes.pop();
            assert_eq!(found(&bytes, 0, 7), None);
        }
    }

    #[test]
    fn the_search_in_a_long_sparse_file_stops_at_the_limit() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let next = next_entry(&mut &file, 0, 1 << 40, 0).unwrap();
        assert!(matches!(next, NextEntry::NotSearched(at) if at == SEARCHED_BYTES_MAX), "{next:?}");
    }
}
