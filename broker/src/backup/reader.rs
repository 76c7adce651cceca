//! Reading an archive: nothing of it counts until all of it was read and is what its manifest says.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use super::manifest::{FORMAT, FileEntry, MANIFEST, MANIFEST_CHECKSUM, Manifest, digits};
use crate::{
    data_folder::{self, logs::LogFolder},
    log::disk::{SEGMENT_BYTES_MAX, is_segment_name, is_synced_name},
};

/// The most zeros that are believed behind the end: tar fills its last record up, which has 10 KiB where nobody says otherwise.
const FILLING_MAX: u64 = 1 << 20;
/// How much is read at a time.
const PIECE_BYTES: usize = 256 << 10;
/// The largest manifest that is believed: a hundred thousand segments.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// The longest `restante.json` and lease key that are believed.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// The longest file of the address store that a backup may have: two million channels, each of the longest configuration.
const ADDRESSES_BYTES_MAX: u64 = 16 << 30;
/// The most files that are believed: as many as a manifest tells of.
const FILES_MAX: usize = 1 << 17;

/// Where an archive's files go.
pub trait Sink {
    /// A file begins.
    fn begin(&mut self, name: &str) -> io::Result<()>;
    /// Its next bytes.
    fn contents(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// It ends.
    fn end(&mut self) -> io::Result<()>;
}

/// Why something is no whole backup.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read, or is no tar archive.
    #[error("it cannot be read as a tar archive: {0}. It is cut off or altered, or is no backup")]
    Tar(io::Error),
    /// There is something in it that no backup has.
    #[error("{0:?} is in it, which is not of a backup")]
    UnknownFile(String),
    /// A file is longer than any such file is.
    #[error(
        "{name} in it has {bytes} bytes, and such a file has at most {max}: it is altered, or is no backup"
    )]
    TooLarge {
        /// The file.
        name: String,
        /// Its bytes, or those that it is to have in the data folder.
        bytes: u64,
        /// The most that are believed.
        max: u64,
    },
    /// There are more files than a manifest tells of.
    #[error("it has more than {FILES_MAX} files: it is altered, or is no backup")]
    TooMany,
    /// The end is missing.
    #[error("it is cut off: {0} is not in it, which is written last. Take another backup")]
    CutOff(&'static str),
    /// Something is behind the end.
    #[error("bytes follow on its end: it is altered, or is more than one backup")]
    TrailingBytes,
    /// The manifest is not what was written.
    #[error("its manifest is altered or damaged: {0}")]
    Manifest(String),
    /// A file is not what was written.
    #[error("{name} in it is altered or damaged: {reason}")]
    Altered {
        /// The file.
        name: String,
        /// What differs.
        reason: &'static str,
    },
    /// A later version made it.
    #[error(
        "it has format {found}, and this version reads up to {FORMAT}: use the version that made it, or a later one"
    )]
    Newer {
        /// Its format.
        found: u32,
    },
    /// A file of it cannot be written.
    #[error("cannot {action} {name}: {source}")]
    Sink {
        /// What was tried.
        action: &'static str,
        /// The file.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// What was read of a file.
struct FileRead {
    bytes: u64,
    crc: u32,
}

/// Reads an archive to its end, hands its files on, and says what is in it. What was handed on counts for nothing after an
/// error.
pub fn read(from: impl Read, to: &mut impl Sink) -> Result<Manifest, ArchiveError> {
    let mut archive = tar::Archive::new(from);
    let (mut files, mut manifest, mut checksum) = (BTreeMap::new(), None, None);
    // Without extensions, which a backup has none of: some are read whole, however long they are.
    for entry in archive.entries().map_err(ArchiveError::Tar)?.raw(true) {
        let mut entry = entry.map_err(ArchiveError::Tar)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let regular = entry.header().entry_type().is_file();
        match name.as_str() {
            _ if checksum.is_some() || !regular => return Err(ArchiveError::UnknownFile(name)),
            MANIFEST if manifest.is_none() => manifest = Some(read_small(&mut entry)?),
            MANIFEST_CHECKSUM if manifest.is_some() => checksum = Some(read_small(&mut entry)?),
            _ if manifest.is_some() || files.contains_key(&name) => {
                return Err(ArchiveError::UnknownFile(name));
            }
            _ => {
                let Some(max) = bytes_max(&name) else { return Err(ArchiveError::UnknownFile(name)) };
                check_length(&name, entry.size(), max)?;
                if files.len() == FILES_MAX {
                    return Err(ArchiveError::TooMany);
                }
                let read = read_file(&mut entry, &name, to)?;
                files.insert(name, read);
            }
        }
    }
    refuse_more(archive.into_inner())?;
    let manifest = manifest.ok_or(ArchiveError::CutOff(MANIFEST))?;
    let checksum = checksum.ok_or(ArchiveError::CutOff(MANIFEST_CHECKSUM))?;
    if checksum != digits(crc32c::crc32c(&manifest)).as_bytes() {
        return Err(ArchiveError::Manifest("its checksum does not match".to_owned()));
    }
    let manifest = parse(&manifest)?;
    compare(&manifest, files)?;
    Ok(manifest)
}

/// Refuses what follows on the end of an archive and does not fill it up.
fn refuse_more(from: impl Read) -> Result<(), ArchiveError> {
    let mut from = from.take(FILLING_MAX + 1);
    let (mut piece, mut read) = (vec![0; PIECE_BYTES], 0);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                read += count as u64;
                if read > FILLING_MAX || piece[..count].iter().any(|byte| *byte != 0) {
                    return Err(ArchiveError::TrailingBytes);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::Tar(error)),
        }
    }
}

fn parse(manifest: &[u8]) -> Result<Manifest, ArchiveError> {
    let no_manifest = |error: serde_json::Error| ArchiveError::Manifest(error.to_string());
    let value: serde_json::Value = serde_json::from_slice(manifest).map_err(no_manifest)?;
    let format = value["format"].as_u64().and_then(|format| u32::try_from(format).ok());
    if let Some(found) = format.filter(|found| *found > FORMAT) {
        return Err(ArchiveError::Newer { found });
    }
    serde_json::from_value(value).map_err(no_manifest)
}

/// Whether the files are those of the manifest.
fn compare(manifest: &Manifest, mut files: BTreeMap<String, FileRead>) -> Result<(), ArchiveError> {
    let altered = |name: &str, reason| ArchiveError::Altered { name: name.to_owned(), reason };
    for FileEntry { name, bytes, crc32c, padded_bytes } in &manifest.files {
        if let Some(padded) = padded_bytes {
            if !is_segment(name) {
                return Err(altered(name, "zeros follow on it, which is no segment"));
            }
            check_length(name, *padded, SEGMENT_BYTES_MAX)?;
        }
        let read = files.remove(name).ok_or_else(|| altered(name, "it is missing"))?;
        if read.bytes != *bytes {
            return Err(altered(name, "its length does not match the manifest"));
        }
        if digits(read.crc) != *crc32c {
            return Err(altered(name, "its checksum does not match the manifest"));
        }
    }
    match files.into_keys().next() {
        Some(name) => Err(ArchiveError::UnknownFile(name)),
        None => Ok(()),
    }
}

/// How long a file of a data folder is at most, if it has one of this name. No other is ever written, wherever its name would
/// lead.
fn bytes_max(name: &str) -> Option<u64> {
    let is_small = [data_folder::VERSION, data_folder::LEASE_KEY].contains(&name);
    let is_address = |(folder, file)| {
        folder == data_folder::ADDRESSES && crate::address_store::inspection::FILES.contains(&file)
    };
    match name {
        _ if is_small => Some(SMALL_BYTES_MAX),
        _ if is_synced_file(name) => Some(SMALL_BYTES_MAX),
        _ if is_segment(name) => Some(SEGMENT_BYTES_MAX),
        _ if name.split_once('/').is_some_and(is_address) => Some(ADDRESSES_BYTES_MAX),
        _ => None,
    }
}

/// Whether it tells what is on disk of a log.
fn is_synced_file(name: &str) -> bool {
    name.split_once('/').is_some_and(|(log, file)| log.parse::<LogFolder>().is_ok() && is_synced_name(file))
}

/// Whether it is a segment of a log.
pub(crate) fn is_segment(name: &str) -> bool {
    name.split_once('/').is_some_and(|(log, file)| log.parse::<LogFolder>().is_ok() && is_segment_name(file))
}

fn check_length(name: &str, bytes: u64, max: u64) -> Result<(), ArchiveError> {
    if bytes > max { Err(ArchiveError::TooLarge { name: name.to_owned(), bytes, max }) } else { Ok(()) }
}

fn read_small(entry: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut contents = Vec::new();
    entry.take(MANIFEST_BYTES_MAX).read_to_end(&mut contents).map_err(ArchiveError::Tar)?;
    Ok(contents)
}

fn read_file(entry: &mut impl Read, name: &str, to: &mut impl Sink) -> Result<FileRead, ArchiveError> {
    let failed = |action| {
        let name = name.to_owned();
        move |source| ArchiveError::Sink { action, name, source }
    };
    to.begin(name).map_err(failed("make"))?;
    let mut read = FileRead { bytes: 0, crc: 0 };
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match entry.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ArchiveError::Tar(error)),
        };
        read.bytes += count as u64;
        read.crc = crc32c::crc32c_append(read.crc, &piece[..count]);
        to.contents(&piece[..count]).map_err(failed("write"))?;
    }
    to.end().map_err(failed("sync"))?;
    Ok(read)
}
