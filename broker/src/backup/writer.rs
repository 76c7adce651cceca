//! Creating an archive piece by piece. The caller sends the pieces.

use bytes::Bytes;
use tar::{EntryType, Header};

use super::manifest::{FileEntry, MANIFEST, MANIFEST_CHECKSUM, Manifest, digits};

/// Bytes of tar's blocks (POSIX.1-2017, pax, "ustar Interchange Format").
const BLOCK: u64 = 512;

/// An archive under construction.
pub struct Writer {
    manifest: Manifest,
    /// The current file, its checksum so far, and its remaining bytes.
    current: Option<(FileEntry, u32, u64)>,
    /// The modification time of all files, in seconds since the Unix epoch.
    taken_at: u64,
}

impl Writer {
    /// Starts an archive; `taken_at` is in seconds since the Unix epoch.
    pub fn new(manifest: Manifest, taken_at: u64) -> Self {
        Self { manifest, current: None, taken_at }
    }

    /// Sets the moment of the snapshot, which follows the start of the archive.
    pub fn taken_at(&mut self, taken_at: String) {
        self.manifest.taken_at = taken_at;
    }

    /// Starts a file. Returns the bytes to send before its content.
    pub fn begin(&mut self, name: &str, bytes: u64, padded_bytes: Option<u64>) -> Bytes {
        debug_assert!(self.current.is_none(), "one file at a time");
        let entry = FileEntry { name: name.to_owned(), bytes, crc32c: String::new(), padded_bytes };
        self.current = Some((entry, 0, bytes));
        self.header(name, bytes)
    }

    /// Counts the next bytes of the file, which the caller then sends.
    pub fn contents(&mut self, bytes: &[u8]) {
        if let Some((_, crc, left)) = &mut self.current {
            *crc = crc32c::crc32c_append(*crc, bytes);
            *left -= bytes.len() as u64;
        }
    }

    /// Ends the file. Returns the bytes to send after its content.
    pub fn end(&mut self) -> Bytes {
        let Some((mut entry, crc, left)) = self.current.take() else { return Bytes::new() };
        debug_assert_eq!(left, 0, "the whole file");
        entry.crc32c = digits(crc);
        let padding = padding(entry.bytes);
        self.manifest.files.push(entry);
        padding
    }

    /// Ends the archive. Returns the last bytes to send.
    pub fn finish(self) -> Bytes {
        let manifest =
            serde_json::to_vec_pretty(&self.manifest).expect("a manifest has only JSON's own types");
        let checksum = digits(crc32c::crc32c(&manifest));
        let mut end = Vec::new();
        for (name, contents) in [(MANIFEST, &manifest[..]), (MANIFEST_CHECKSUM, checksum.as_bytes())] {
            end.extend(self.header(name, contents.len() as u64));
            end.extend(contents);
            end.extend(padding(contents.len() as u64));
        }
        // Two empty blocks end an archive.
        end.extend([0; 2 * BLOCK as usize]);
        end.into()
    }

    fn header(&self, name: &str, bytes: u64) -> Bytes {
        let mut header = Header::new_gnu();
        header.set_path(name).expect("names of a data folder are short");
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes);
        // The archive contains messages and the key of lease tokens.
        header.set_mode(0o600);
        header.set_mtime(self.taken_at);
        header.set_cksum();
        Bytes::copy_from_slice(header.as_bytes())
    }
}

fn padding(bytes: u64) -> Bytes {
    Bytes::from_static(&[0; BLOCK as usize]).slice(..(bytes.next_multiple_of(BLOCK) - bytes) as usize)
}
