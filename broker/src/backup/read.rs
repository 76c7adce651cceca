//! Reading an archive: nothing of it counts until all of it was read and is what its manifest says.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use super::manifest::{FORMAT, FileEntry, MANIFEST, MANIFEST_CHECKSUM, Manifest, digits};
use crate::{
    data_folder::{self, logs::LogFolder},
    log::disk::is_file_name,
};

/// How much is read at a time.
const PIECE_BYTES: usize = 256 << 10;
/// The largest manifest that is believed: a hundred thousand segments.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

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
    Stranger(String),
    /// The end is missing.
    #[error("it is cut off: {0} is not in it, which is written last. Take another backup")]
    CutOff(&'static str),
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
    #[error("{action} {name}: {source}")]
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
    for entry in archive.entries().map_err(ArchiveError::Tar)? {
        let mut entry = entry.map_err(ArchiveError::Tar)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let regular = entry.header().entry_type().is_file();
        match name.as_str() {
            _ if checksum.is_some() || !regular => return Err(ArchiveError::Stranger(name)),
            MANIFEST if manifest.is_none() => manifest = Some(small(&mut entry)?),
            MANIFEST_CHECKSUM if manifest.is_some() => checksum = Some(small(&mut entry)?),
            _ if manifest.is_some() || !is_known(&name) || files.contains_key(&name) => {
                return Err(ArchiveError::Stranger(name));
            }
            _ => {
                let read = file(&mut entry, &name, to)?;
                files.insert(name, read);
            }
        }
    }
    let manifest = manifest.ok_or(ArchiveError::CutOff(MANIFEST))?;
    let checksum = checksum.ok_or(ArchiveError::CutOff(MANIFEST_CHECKSUM))?;
    if checksum != digits(crc32c::crc32c(&manifest)).as_bytes() {
        return Err(ArchiveError::Manifest("its checksum does not match".to_owned()));
    }
    let manifest = parse(&manifest)?;
    compare(&manifest, files)?;
    Ok(manifest)
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
    for FileEntry { name, bytes, crc32c, .. } in &manifest.files {
        let read = files.remove(name).ok_or_else(|| altered(name, "it is missing"))?;
        if read.bytes != *bytes {
            return Err(altered(name, "its length does not match the manifest"));
        }
        if digits(read.crc) != *crc32c {
            return Err(altered(name, "its checksum does not match the manifest"));
        }
    }
    match files.into_keys().next() {
        Some(name) => Err(ArchiveError::Stranger(name)),
        None => Ok(()),
    }
}

/// Whether a data folder has a file of this name. No other is ever written, wherever its name would lead.
fn is_known(name: &str) -> bool {
    match name.split_once('/') {
        None => [data_folder::VERSION, data_folder::LEASE_KEY].contains(&name),
        Some((data_folder::ADDRESSES, file)) => crate::address_store::look::FILES.contains(&file),
        Some((log, file)) => log.parse::<LogFolder>().is_ok() && is_file_name(file),
    }
}

fn small(entry: &mut impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut contents = Vec::new();
    entry.take(MANIFEST_BYTES_MAX).read_to_end(&mut contents).map_err(ArchiveError::Tar)?;
    Ok(contents)
}

fn file(entry: &mut impl Read, name: &str, to: &mut impl Sink) -> Result<FileRead, ArchiveError> {
    let failed = |action| {
        let name = name.to_owned();
        move |source| ArchiveError::Sink { action, name, source }
    };
    to.begin(name).map_err(failed("cannot make"))?;
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
        to.contents(&piece[..count]).map_err(failed("cannot write"))?;
    }
    to.end().map_err(failed("cannot sync"))?;
    Ok(read)
}
