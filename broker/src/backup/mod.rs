//! Backups: a data folder as one tar archive, which any `tar` lists and unpacks.
//!
//! ```text
//! restante.json        as in the data folder
//! lease-key            as in the data folder
//! addresses/…          as in the data folder
//! log/00000001.seg …   up to where they were written at the moment of the cut, the oldest first
//! MANIFEST.json        what the archive holds: each file with its length and checksum
//! MANIFEST.crc32c      the manifest's own checksum, last of all
//! ```
//!
//! An archive without its end is none: whoever reads one looks for the manifest, and for the file that ends it.

mod manifest;
mod reader;
mod writer;

pub use manifest::{FileEntry, MANIFEST, MANIFEST_CHECKSUM, Manifest};
pub(crate) use reader::is_segment;
pub use reader::{ArchiveError, Sink, read};
pub use writer::Writer;
