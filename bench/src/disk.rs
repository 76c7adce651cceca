//! What a disk has written, by its own count.
//!
//! A process' own count, `write_bytes` of `/proc/ID/io`, is of no use here: it has whole folios of the page cache, up to 2 MiB,
//! for each few bytes that are written over, of which the disk gets only the blocks that changed.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, Result};
use nix::sys::stat::{major, minor};

/// Of the kernel's sectors, whatever the disk's are (Documentation/block/stat.rst).
const SECTOR_BYTES: f64 = 512.0;
/// The place of *write sectors* in that file.
const WRITTEN: usize = 6;

/// Bytes that the disk of this folder has written since the machine was started, for everybody.
pub(crate) fn written_bytes(folder: &Path) -> Result<f64> {
    let device = fs::metadata(folder)?.dev();
    let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is on no disk that counts ({path})", folder.display()))?;
    Ok(sectors(&text).with_context(|| format!("{path} has no count of written sectors"))? * SECTOR_BYTES)
}

fn sectors(stat: &str) -> Option<f64> {
    stat.split_whitespace().nth(WRITTEN)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_that_were_written_are_the_seventh_number() {
        let stat = "  144 0 4608 16 21 3 168 9 0 20 25 0 0 0 0 0 0\n";
        assert_eq!(sectors(stat), Some(168.0));
        assert_eq!(sectors("1 2"), None);
    }
}
