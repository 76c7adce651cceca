//! Finding whole entries behind damage.

use std::io::{self, Read, Seek, SeekFrom};

use super::frame::{self, Frame, MAGIC, ReadError};

/// How far behind damage is looked: more than a journal has, and little enough to be over in a second. A file may be long
/// without having much in it.
const SEARCHED_BYTES_MAX: u64 = 256 << 20;
/// How much is read of what looks like an entry and is none, so that a file that was made for it holds nobody up.
const REJECTED_BYTES_MAX: u64 = 1 << 30;
/// How much is looked at at a time.
const PIECE_BYTES: u64 = 64 << 10;

/// What lies behind damage.
#[derive(Debug)]
pub(super) enum NextEntry {
    /// An entry, from this byte on.
    Entry(u64, Frame),
    /// None.
    Nothing,
    /// Nobody knows: up to this byte there is none.
    NotSearched(u64),
}

/// The next whole entry from a byte on whose sequence is at least `sequence`.
pub(super) fn next_whole<R: Read + Seek>(
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
        // So that what begins at the end of one piece is whole in it.
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
        match next_whole(&mut io::Cursor::new(bytes), from, bytes.len() as u64, sequence).unwrap() {
            NextEntry::Entry(at, frame) => Some((at, frame.sequence)),
            NextEntry::Nothing => None,
            NextEntry::NotSearched(at) => panic!("searched up to {at}"),
        }
    }

    #[test]
    fn a_whole_entry_is_found_behind_garbage_wherever_it_begins() {
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
    fn a_file_that_is_long_and_empty_is_not_looked_through_to_its_end() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let next = next_whole(&mut &file, 0, 1 << 40, 0).unwrap();
        assert!(matches!(next, NextEntry::NotSearched(at) if at == SEARCHED_BYTES_MAX), "{next:?}");
    }
}
