//! The frame around each entry of the store's files.
//!
//! ```text
//! magic 4 | payload length u32 | sequence u64 | crc32c u32 | payload
//! ```
//!
//! Little-endian. The checksum covers length, sequence and payload. The sequence starts at 0 in each file, so a whole
//! entry in the wrong place is noticed.

use std::io::{self, Read};

/// The first bytes of an entry, by which entries after damage are found.
pub(super) const MAGIC: [u8; 4] = *b"Rsa1";
const HEADER_BYTES: usize = 4 + 4 + 8 + 4;
/// Upper limit of a payload: well above the batches that are written, and small enough to allocate.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
const _: () = assert!(super::disk::BATCH_BYTES_MAX < PAYLOAD_BYTES_MAX);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) sequence: u64,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    /// The bytes are not a whole entry.
    Damaged(&'static str),
}

/// Appends an entry to a buffer.
pub(super) fn encode(sequence: u64, payload: &[u8], into: &mut Vec<u8>) {
    let length =
        u32::try_from(payload.len()).expect("a payload is limited to BATCH_BYTES_MAX plus one channel");
    into.extend_from_slice(&MAGIC);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&sequence.to_le_bytes());
    into.extend_from_slice(&checksum(length, sequence, payload).to_le_bytes());
    into.extend_from_slice(payload);
}

/// Bytes of an entry, by its payload.
pub(super) fn encoded_len(payload: usize) -> u64 {
    (HEADER_BYTES + payload) as u64
}

/// Reads the next entry; nothing at the end of the file.
pub(super) fn read(from: &mut impl Read) -> Result<Option<Frame>, ReadError> {
    let mut header = [0; HEADER_BYTES];
    match fill(from, &mut header)? {
        0 => return Ok(None),
        HEADER_BYTES => {}
        _ => return Err(ReadError::Damaged("the file ends within an entry")),
    }
    let (magic, rest) = header.split_at(4);
    let (length, rest) = rest.split_at(4);
    let (sequence, crc) = rest.split_at(8);
    if magic != MAGIC {
        return Err(ReadError::Damaged("an entry should start here"));
    }
    let length = u32::from_le_bytes(length.try_into().expect("split at 4"));
    let sequence = u64::from_le_bytes(sequence.try_into().expect("split at 8"));
    if length as usize > PAYLOAD_BYTES_MAX {
        return Err(ReadError::Damaged("the entry's length is invalid"));
    }
    let mut payload = vec![0; length as usize];
    if fill(from, &mut payload)? < payload.len() {
        return Err(ReadError::Damaged("the file ends within an entry"));
    }
    if crc != checksum(length, sequence, &payload).to_le_bytes() {
        return Err(ReadError::Damaged("the entry's checksum does not match"));
    }
    Ok(Some(Frame { sequence, payload }))
}

fn checksum(length: u32, sequence: u64, payload: &[u8]) -> u32 {
    let head = crc32c::crc32c(&length.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(head, &sequence.to_le_bytes()), payload)
}

/// Fills a buffer, up to the end of the file. Returns the number of bytes.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ReadError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Io(error)),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        encode(7, b"payload", &mut bytes);
        let frame = read(&mut &*bytes).unwrap().unwrap();
        assert_eq!(frame, Frame { sequence: 7, payload: b"payload".to_vec() });
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read(&mut &*flipped), Err(ReadError::Damaged(_))), "bit {bit}");
        }
    }
}
