//! The data folder: all files of a broker, and the lock that gives the folder one owner at a time.
//!
//! ```text
//! lock            flock; the holder owns the folder, and its process id is in the file as text
//! restante.json   {"format": 1, "storeId": "…"}, written first; later also the ids of the logs and of the address store
//! lease-key       the key that seals lease tokens, readable by the owner only
//! addresses/      the address store
//! log/            the messages, of a broker that always had one worker thread
//! log-2-0of4/ …   the logs of a broker with several worker threads: see [`logs`]
//! ```

mod error;
pub(crate) mod inspection;
mod lock;
pub(crate) mod logs;
mod parts;

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use restante_wire::json;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::DataFolderError;
pub(crate) use parts::{FoundLogs, LogIds, is_foreign, part_id, wrong_addresses, wrong_logs};

use crate::{
    files::{Misplaced, durable, os_error, plain_file},
    log::disk::storage::Guard,
};
use error::{io_error, step};
use lock::Lock;
use logs::{LogFolder, Logs};

/// The format of the whole folder. It increases when a version cannot read older files in place.
const FORMAT: u32 = 1;
/// Upper limit of `restante.json` and the lease key: far above their real size.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Bytes of the lease key: the output length of SHA-256. A longer key does not make HMAC-SHA-256 much stronger (RFC
/// 2104 section 3).
pub const LEASE_KEY_BYTES: usize = 32;

pub(crate) const LOCK: &str = "lock";
pub(crate) const VERSION: &str = "restante.json";
pub(crate) const LEASE_KEY: &str = "lease-key";
pub(crate) const ADDRESSES: &str = "addresses";
pub(crate) const LOG: &str = "log";

/// The folders of the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFolders {
    /// One for each worker thread.
    pub current: Vec<PathBuf>,
    /// Logs from starts with another number of worker threads, oldest first.
    pub older: Vec<PathBuf>,
}

/// A data folder that this process owns while the value exists.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    store_id: Uuid,
    /// Read at the start, or created at its first use.
    lease_key: OnceLock<[u8; LEASE_KEY_BYTES]>,
    /// Whether the folder was used before, but the key is missing.
    lost_key: bool,
    /// Closing it releases the folder.
    lock: Arc<Lock>,
}

/// The content of `restante.json`. A later version may add fields; this one must still be able to read `format`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    format: u32,
    store_id: Uuid,
    /// The store that this folder was restored or salvaged from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored_from: Option<Origin>,
    /// The ids of the logs that contain records, by the names of their folders.
    #[serde(default, skip_serializing_if = "LogIds::is_empty")]
    logs: LogIds,
    /// The id of the address store, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addresses: Option<String>,
}

/// The origin of a restored or salvaged folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Origin {
    /// The id of the original store, if it is known.
    pub(crate) store_id: Option<Uuid>,
    /// The moment of the copy, RFC 3339.
    pub(crate) taken_at: String,
}

impl DataFolder {
    /// Opens a data folder, and creates it if it is missing. Waits up to `lock_wait` until another broker releases it.
    ///
    /// Blocks.
    pub fn open(path: &Path, lock_wait: Duration) -> Result<Self, DataFolderError> {
        make_data_folder(path)?;
        let lock = lock::acquire(&path.join(LOCK), lock_wait)?;
        let store_id = version(path)?.store_id;
        let lease_key = lease_key(&path.join(LEASE_KEY))?;
        let lost_key = lease_key.is_none() && [ADDRESSES, LOG].iter().any(|name| is_there(&path.join(name)));
        let lease_key = lease_key.map_or_else(OnceLock::new, OnceLock::from);
        Ok(Self { path: path.to_owned(), store_id, lease_key, lost_key, lock: Arc::new(lock) })
    }

    /// The store's random id: a different one means a different disk.
    pub fn store_id(&self) -> Uuid {
        self.store_id
    }

    /// The key that seals lease tokens. A missing key is created at the first use, when the start is known to succeed;
    /// leases issued under a lost key are then unknown.
    pub fn lease_key(&self) -> Result<&[u8; LEASE_KEY_BYTES], DataFolderError> {
        if let Some(key) = self.lease_key.get() {
            return Ok(key);
        }
        let path = self.path.join(LEASE_KEY);
        let key = random(&path)?;
        write(&path, 0o600, &key)?;
        if self.lost_key {
            tracing::warn!(
                path = %path.display(),
                "the lease key was missing and was created again: current leases cannot be settled, and their messages are delivered \
                 again when the leases expire"
            );
        }
        Ok(self.lease_key.get_or_init(|| key))
    }

    /// Checks whether this process still owns the folder.
    pub fn guard(&self) -> Arc<dyn Guard> {
        self.lock.clone()
    }

    pub fn addresses(&self) -> PathBuf {
        self.path.join(ADDRESSES)
    }

    /// The folders of the logs for a broker with this number of worker threads: its current logs, which may still have
    /// to be [created](Self::begin_logs), and the older logs in their order.
    pub fn logs(&self, cores: u32) -> Result<LogFolders, DataFolderError> {
        let mut there = logs::all(&self.path)?;
        // The first log is created at the first start, whatever the number of worker threads.
        if !there.contains(&LogFolder::FIRST) {
            there.push(LogFolder::FIRST);
        }
        let Logs { current, older } = Logs::of(there, cores);
        let path = |log: &LogFolder| self.path.join(log.to_string());
        // All records of an empty log have been copied.
        let older = older.iter().map(path).filter(|path| !is_empty(path));
        Ok(LogFolders { older: older.collect(), current: current.iter().map(path).collect() })
    }

    /// Refuses folders and files that this process cannot write, before it writes to others.
    pub(crate) fn check_rights(&self, logs: &LogFolders) -> Result<(), DataFolderError> {
        let addresses = [self.addresses(), self.addresses().join(crate::address_store::JOURNAL)];
        let all = addresses.iter().chain(&logs.current).chain(&logs.older);
        all.into_iter().try_for_each(|path| step("write to", path, || os_error::check_rights(path)))
    }

    /// Refuses logs whose ids differ from those in `restante.json`.
    pub(crate) fn compare_logs(&self, found: &FoundLogs) -> Result<(), DataFolderError> {
        let written = version(&self.path)?.logs;
        wrong_logs(&written, found).next().map_or(Ok(()), |(name, reason)| {
            Err(DataFolderError::Damaged { path: self.path.join(name), reason: reason.to_owned() })
        })
    }

    /// The id of the address store, whose files contain `found`. If they contain no id, the one in `restante.json` is
    /// used, so that lost files can be put back; without either, the id is new. Refuses the files of another address
    /// store.
    pub(crate) fn addresses_id(&self, found: Option<String>) -> Result<String, DataFolderError> {
        let written = version(&self.path)?.addresses;
        if let Some(reason) = wrong_addresses(written.as_deref(), found.as_deref()) {
            return Err(DataFolderError::Damaged { path: self.addresses(), reason: reason.to_owned() });
        }
        let draw = || random(&self.addresses()).map(|bytes| part_id(u64::from_le_bytes(bytes)));
        found.or(written).map_or_else(draw, Ok)
    }

    /// Writes the ids of the logs and of the address store into `restante.json`, before anything is stored in a new
    /// one. Returns false if the disk is full and no log is new.
    pub(crate) fn record_parts(
        &self,
        logs: LogIds,
        addresses: Option<String>,
    ) -> Result<bool, DataFolderError> {
        let version = version(&self.path)?;
        if version.logs == logs && version.addresses == addresses {
            return Ok(true);
        }
        let begins = logs.iter().any(|(name, id)| version.logs.get(name) != Some(id));
        match (Version { logs, addresses, ..version }).write(&self.path) {
            Err(DataFolderError::Full { .. }) if !begins => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Creates the missing folders of these logs.
    pub fn begin_logs(&self, logs: &LogFolders) -> Result<(), DataFolderError> {
        let first = self.path.join(LOG);
        if !first.exists() {
            make_folder(&first)?;
            step("sync", &self.path, || durable::sync_folder_of(&first))?;
        }
        if logs.current.iter().any(|log| !log.exists()) {
            logs.current.iter().try_for_each(|log| make_folder(log))?;
            step("sync", &self.path, || durable::sync_folder_of(&self.path.join(LOG)))?;
        }
        Ok(())
    }

    /// Removes the folders of logs whose records are all copied.
    pub fn remove_empty_logs(&self, logs: &LogFolders) -> Result<(), DataFolderError> {
        for log in logs::all(&self.path)? {
            let path = self.path.join(log.to_string());
            if log != LogFolder::FIRST && !logs.current.contains(&path) && is_empty(&path) {
                let _ = fs::remove_dir(path);
            }
        }
        Ok(())
    }
}

/// Whether the name exists, even as a dangling link.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Creates the data folder if it does not exist.
fn make_data_folder(path: &Path) -> Result<(), DataFolderError> {
    make_folder(path).map_err(|error| match error {
        DataFolderError::Misplaced { misplaced: Misplaced::Kind { .. }, path, .. } => {
            DataFolderError::NotAFolder { path }
        }
        DataFolderError::Io { source, path, .. } if source.kind() == io::ErrorKind::NotADirectory => {
            DataFolderError::NotAFolder { path }
        }
        DataFolderError::Misplaced { misplaced, path, .. } => {
            DataFolderError::CannotCreate { path, source: misplaced.into() }
        }
        DataFolderError::Io { source, path, .. } if is_of_the_place(&source) => {
            DataFolderError::CannotCreate { path, source }
        }
        error => error,
    })
}

/// Whether this path can never become a folder, for example in `/proc`. A failing disk is another error.
fn is_of_the_place(error: &io::Error) -> bool {
    let of_the_place = [
        Errno::NOENT,
        Errno::EXIST,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::INVAL,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
    ];
    Errno::from_io_error(error).is_some_and(|errno| of_the_place.contains(&errno))
}

/// Creates a folder, accessible to its owner only, if it does not exist.
fn make_folder(path: &Path) -> Result<(), DataFolderError> {
    if step("open", path, || plain_file::has_folder(path))? {
        return Ok(());
    }
    step("create the folder", path, || {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| os_error::with_missing_right(path, error))
    })
}

/// Reads `restante.json`, or writes it if the folder is new.
fn version(folder: &Path) -> Result<Version, DataFolderError> {
    let path = folder.join(VERSION);
    match plain_file::read(&path, SMALL_BYTES_MAX) {
        Ok(Some(text)) => {
            let damaged = |reason: String| DataFolderError::Damaged { path: path.clone(), reason };
            let version: serde_json::Value = json::read(&text).map_err(|fault| damaged(fault.to_string()))?;
            let found = version["format"].as_u64().filter(|format| *format > 0);
            let found = found.ok_or_else(|| damaged("it contains no valid format number".into()))?;
            if found > u64::from(FORMAT) {
                return Err(DataFolderError::Newer { path: folder.to_owned(), found, supported: FORMAT });
            }
            json::read(&text).map_err(|fault| damaged(fault.to_string()))
        }
        Ok(None) => {
            // The file is written before the folders are created, so no crash leaves the folders without it.
            if let Some(left) = [ADDRESSES, LOG].iter().find(|name| is_there(&folder.join(name))) {
                return Err(DataFolderError::VersionMissing { path, left });
            }
            write_version(folder, None)
        }
        Err(error) => Err(io_error("read", &path, error)),
    }
}

/// Gives a folder a new store id, and records its origin.
pub(crate) fn write_version(
    folder: &Path,
    restored_from: Option<Origin>,
) -> Result<Version, DataFolderError> {
    let store_id = Uuid::from_bytes(random(folder)?);
    let version = Version { format: FORMAT, store_id, restored_from, logs: LogIds::new(), addresses: None };
    version.write(folder)?;
    Ok(version)
}

/// Writes the ids of the logs and of the address store of a new folder into `restante.json`.
pub(crate) fn write_parts(
    folder: &Path,
    logs: LogIds,
    addresses: Option<String>,
) -> Result<(), DataFolderError> {
    Version { logs, addresses, ..version(folder)? }.write(folder)
}

impl Version {
    fn write(&self, folder: &Path) -> Result<(), DataFolderError> {
        let text = serde_json::to_vec(self).expect("a version has numbers and texts");
        write(&folder.join(VERSION), 0o644, &text)
    }
}

/// Reads a small file.
pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, DataFolderError> {
    let found =
        plain_file::read(path, SMALL_BYTES_MAX).and_then(|found| found.ok_or(io::ErrorKind::NotFound.into()));
    found.map_err(|error| io_error("read", path, error))
}

/// Reads the lease key if it exists.
fn lease_key(path: &Path) -> Result<Option<[u8; LEASE_KEY_BYTES]>, DataFolderError> {
    match plain_file::read(path, SMALL_BYTES_MAX) {
        Ok(Some(key)) => {
            // Kubernetes gives the volume's group access to files at each mount, and a manually restored backup may be
            // accessible to everybody. If the file belongs to another user, the broker cannot correct this, and only
            // warns.
            if let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o600)) {
                tracing::warn!(%error, path = %path.display(), "cannot make the lease key private");
            }
            key.try_into().map(Some).map_err(|key: Vec<u8>| DataFolderError::Damaged {
                path: path.to_owned(),
                reason: format!("it has {} bytes instead of {LEASE_KEY_BYTES}", key.len()),
            })
        }
        Ok(None) => Ok(None),
        Err(error) => Err(io_error("read", path, error)),
    }
}

pub(crate) fn random<const BYTES: usize>(path: &Path) -> Result<[u8; BYTES], DataFolderError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io_error("draw a random number for", path, error.into()))?;
    Ok(bytes)
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), DataFolderError> {
    let written = durable::replace(path, mode, |file| file.write_all(bytes));
    written.map(drop).map_err(|error| io_error("write", path, error.source))
}

#[cfg(test)]
mod tests;
