//! What an archive holds.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The manifest's name in the archive.
pub const MANIFEST: &str = "MANIFEST.json";
/// The name of its checksum: eight hexadecimal digits.
pub const MANIFEST_CHECKSUM: &str = "MANIFEST.crc32c";

/// The format of archives. A version that cannot be read by those before counts it up.
pub(super) const FORMAT: u32 = 1;

/// What an archive holds, and of which store it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The archive's format.
    pub format: u32,
    /// The store that it is a copy of.
    pub store_id: Uuid,
    /// The moment of the cut, RFC 3339, by the broker's clock.
    pub taken_at: String,
    /// The version of the broker that made it.
    pub version: String,
    /// Every file before the manifest, in the archive's order.
    pub files: Vec<FileEntry>,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Its name, in the data folder.
    pub name: String,
    /// Its bytes in the archive.
    pub bytes: u64,
    /// crc32c over them, in hexadecimal digits.
    pub crc32c: String,
    /// Its bytes in the data folder, where that is more: zeros follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padded_bytes: Option<u64>,
}

impl Manifest {
    /// An empty one, of this version.
    pub fn new(store_id: Uuid, taken_at: String) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, store_id, taken_at, version, files: Vec::new() }
    }
}

/// A checksum as it is written.
pub(super) fn digits(crc: u32) -> String {
    format!("{crc:08x}")
}
