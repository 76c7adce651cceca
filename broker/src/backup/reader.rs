//! Reading an archive. Its content counts only after all of it was read and matches the manifest.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use restante_wire::json;

use super::manifest::{FORMAT, FileEntry, MANIFEST, MANIFEST_CHECKSUM, Manifest, digits};
use crate::{
    data_folder::{self, logs::LogFolder},
    log::disk::{SEGMENT_BYTES_MAX, is_segment_name, is_synced_name},
};

/// Upper limit of zeros after the end. tar pads its last record, by default to 10 KiB.
const FILLING_MAX: u64 = 1 << 20;
/// Bytes per read.
const PIECE_BYTES: usize = 256 << 10;
/// Upper limit of the manifest: enough for a hundred thousand segments.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Upper limit of `restante.json` and the lease key.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Upper limit of a file of the address store: two million channels, each with the longest configuration.
const ADDRESSES_BYTES_MAX: u64 = 16 << 30;
/// Upper limit of files: as many as fit into the manifest.
const FILES_MAX: usize = 1 << 17;

/// Receives the files of an archive.
pub trait Sink {
    fn begin(&mut self, name: &str) -> io::Result<()>;
    fn contents(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn end(&mut self) -> io::Result<()>;
}

/// Why an archive is not a complete backup.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it cannot be read as a tar archive: {}; it is truncated, altered or not a backup", tar_reason(.0))]
    Tar(io::Error),
    /// A file that no backup contains.
    #[error("it contains {0:?}, which does not belong in a backup")]
    UnknownFile(String),
    #[error(
        "{name} in it has {bytes} bytes, which exceeds the limit of {max}; it is altered or not a backup"
    )]
    TooLarge {
        name: String,
        /// Its bytes in the archive or in the data folder.
        bytes: u64,
        max: u64,
    },
    #[error("it exceeds the limit of {FILES_MAX} files; it is altered or not a backup")]
    TooMany,
    #[error("it is truncated: {0}, which is written last, is missing; take another backup")]
    CutOff(&'static str),
    #[error("bytes follow its end; it is altered, or the file contains several backups")]
    TrailingBytes,
    #[error("its manifest is altered or damaged: {0}")]
    Manifest(String),
    #[error("{name} in it is altered or damaged: {reason}")]
    Altered { name: String, reason: &'static str },
    #[error(
        "it has format {found}, and this version reads up to {FORMAT}; use the version that created it, or a later one"
    )]
    Newer { found: u32 },
    #[error("cannot {action} {name}: {source}")]
    Sink { action: &'static str, name: String, source: io::Error },
}

/// Why an archive cannot be read. The tar library quotes the file in its errors, which may be any file. An error of the
/// operating system has another kind and is kept.
fn tar_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let is_short = text.starts_with("unexpected EOF") || text.starts_with("failed to read entire block");
    match error.kind() {
        io::ErrorKind::Other if is_short => "it ends early".to_owned(),
        io::ErrorKind::Other => "it has an invalid header".to_owned(),
        _ => text,
    }
}

/// The length and the checksum of a file that was read.
struct FileRead {
    bytes: u64,
    crc: u32,
}

/// Reads an archive to its end, passes its files to the sink, and returns its manifest. After an error, the files that
/// the sink received are invalid.
pub fn read(from: impl Read, to: &mut impl Sink) -> Result<Manifest, ArchiveError> {
    let mut archive = tar::Archive::new(from);
    let (mut files, mut manifest, mut checksum) = (BTreeMap::new(), None, None);
    // Raw, without tar's extensions: a backup has none, and some are read into memory completely, however long they
    // are.
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

/// Refuses bytes after the end of an archive, except padding.
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
    let no_manifest = |fault: json::Fault| ArchiveError::Manifest(fault.to_string());
    let value: serde_json::Value = json::read(manifest).map_err(no_manifest)?;
    let format = value["format"].as_u64().and_then(|format| u32::try_from(format).ok());
    if let Some(found) = format.filter(|found| *found > FORMAT) {
        return Err(ArchiveError::Newer { found });
    }
    json::read(manifest).map_err(no_manifest)
}

/// Whether the files match the manifest.
fn compare(manifest: &Manifest, mut files: BTreeMap<String, FileRead>) -> Result<(), ArchiveError> {
    let altered = |name: &str, reason| ArchiveError::Altered { name: name.to_owned(), reason };
    for FileEntry { name, bytes, crc32c, padded_bytes } in &manifest.files {
        if let Some(padded) = padded_bytes {
            if !is_segment(name) {
                return Err(altered(name, "it has padding although it is not a segment"));
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

/// The upper limit of a file by its name, or nothing if no data folder has a file of this name. No other file is
/// written, wherever its name would point.
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

/// Whether this is the file `synced` of a log.
fn is_synced_file(name: &str) -> bool {
    name.split_once('/').is_some_and(|(log, file)| log.parse::<LogFolder>().is_ok() && is_synced_name(file))
}

/// Whether this is a segment of a log.
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
    to.begin(name).map_err(failed("create"))?;
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
