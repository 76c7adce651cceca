//! Bytes that a disk has written, by the disk's own count.
//!
//! A process's own count, `write_bytes` in `/proc/ID/io`, is useless here. It counts whole folios of the page cache, up
//! to 2 MiB, for a few overwritten bytes, while the disk gets only the changed blocks.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, Result};
use nix::sys::stat::{major, minor};

/// Size of the kernel's sectors, independent of the disk's (Documentation/block/stat.rst).
const SECTOR_BYTES: f64 = 512.0;
/// Index of *write sectors* in that file.
const WRITTEN: usize = 6;

/// Bytes that the disk of this folder has written for all processes since the machine started.
pub(crate) fn written_bytes(folder: &Path) -> Result<f64> {
    let device = fs::metadata(folder)?.dev();
    let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is on a disk without statistics ({path})", folder.display()))?;
    Ok(sectors(&text).with_context(|| format!("{path} has no count of written sectors"))? * SECTOR_BYTES)
}

fn sectors(stat: &str) -> Option<f64> {
    stat.split_whitespace().nth(WRITTEN)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_sectors_are_the_seventh_number() {
        let stat = "  144 0 4608 16 21 3 168 9 0 20 25 0 0 0 0 0 0\n";
        assert_eq!(sectors(stat), Some(168.0));
        assert_eq!(sectors("1 2"), None);
    }
}
