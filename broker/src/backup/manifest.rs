//! The manifest of an archive.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The manifest's name in the archive.
pub const MANIFEST: &str = "MANIFEST.json";
/// The name of the file with the manifest's checksum, eight hexadecimal digits.
pub const MANIFEST_CHECKSUM: &str = "MANIFEST.crc32c";

/// The format of archives. It increases when earlier versions cannot read an archive.
pub(super) const FORMAT: u32 = 1;

/// The manifest: the content of an archive, and the store that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    pub store_id: Uuid,
    /// The moment of the snapshot, RFC 3339, by the broker's clock.
    pub taken_at: String,
    /// The version of the broker that created the archive.
    pub version: String,
    /// Every file before the manifest, in the archive's order.
    pub files: Vec<FileEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// The name, relative to the data folder.
    pub name: String,
    /// Bytes in the archive.
    pub bytes: u64,
    /// CRC-32C of these bytes, in hexadecimal digits.
    pub crc32c: String,
    /// Bytes in the data folder, if that is more: zeros follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padded_bytes: Option<u64>,
}

impl Manifest {
    /// An empty manifest of this version.
    pub fn new(store_id: Uuid, taken_at: String) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, store_id, taken_at, version, files: Vec::new() }
    }
}

/// The text form of a checksum.
pub(super) fn digits(crc: u32) -> String {
    format!("{crc:08x}")
}
