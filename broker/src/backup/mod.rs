//! Backups: a data folder as one tar archive, which any `tar` lists and unpacks.
//!
//! ```text
//! restante.json        as in the data folder
//! lease-key            as in the data folder
//! addresses/…          as in the data folder
//! log/00000001.seg …   the written part at the moment of the snapshot, the oldest segment first
//! MANIFEST.json        the content of the archive: each file with its length and checksum
//! MANIFEST.crc32c      the manifest's own checksum, the last file
//! ```
//!
//! An archive without its end is not a backup: readers require the manifest and the checksum that follows it.

mod manifest;
mod reader;
mod writer;

pub use manifest::{FileEntry, MANIFEST, MANIFEST_CHECKSUM, Manifest};
pub(crate) use reader::is_segment;
pub use reader::{ArchiveError, Sink, read};
pub use writer::Writer;
