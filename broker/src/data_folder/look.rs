//! A data folder that is looked at and not changed: not even its lock file is written.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    ADDRESSES, DataFolderError, FORMAT, LEASE_KEY, LEASE_KEY_BYTES, LOCK, LOG, LogIds, SMALL_BYTES_MAX,
    VERSION, Version,
    error::{io_error, step},
    is_there, lock,
    logs::{self, LogFolder, Names},
    plain,
    refused::{self, Misplaced},
};

/// A data folder that nobody changes for as long as the value lives.
pub(crate) struct Looked {
    path: PathBuf,
    store_id: Option<Uuid>,
    lease_key: Option<[u8; LEASE_KEY_BYTES]>,
    /// Files that are damaged or missing, and how.
    pub(crate) harm: Vec<(String, String)>,
    /// Which log is in which folder, as it is written down.
    pub(crate) log_ids: LogIds,
    /// Which address store is there, as it is written down.
    pub(crate) addresses_id: Option<String>,
    logs: Vec<LogFolder>,
    _lock: Option<File>,
}

/// Keeps brokers away from a folder that is to be moved, for as long as the value lives; none where there is no lock that a
/// broker could have.
pub(crate) fn hold(path: &Path) -> Result<Option<File>, DataFolderError> {
    lock::acquire_to_look(&path.join(LOCK)).map(|(lock, _)| lock)
}

impl Looked {
    /// Takes the lock, if there is one, and reads what is small.
    pub(crate) fn open(path: &Path) -> Result<Self, DataFolderError> {
        if !step("look at", path, || fs::metadata(path))?.is_dir() {
            return Err(DataFolderError::NoFolder { path: path.to_owned() });
        }
        let (_lock, no_lock) = lock::acquire_to_look(&path.join(LOCK))?;
        let Names { mut logs, misplaced } = logs::names(path)?;
        logs.sort_unstable();
        let mut looked = Self {
            path: path.to_owned(),
            store_id: None,
            lease_key: None,
            harm: misplaced.into_iter().map(|(log, reason)| (log.to_string(), reason.to_string())).collect(),
            log_ids: LogIds::new(),
            addresses_id: None,
            logs,
            _lock,
        };
        if let Some(reason) = no_lock {
            looked.harmed(LOCK, reason);
        }
        let version = looked.read(VERSION)?;
        if version.is_none() && !is_there(&path.join(VERSION)) {
            if !is_there(&path.join(ADDRESSES)) && !is_there(&path.join(LOG)) {
                return Err(DataFolderError::NoDataFolder { path: path.to_owned() });
            }
            looked.harmed(VERSION, "it is missing");
        }
        looked.store_id = version.map(|text| looked.version(&text)).transpose()?.flatten();
        // Where no broker has come so far, the next start draws one.
        if !is_there(&path.join(LEASE_KEY)) && is_there(&path.join(ADDRESSES)) {
            looked.harmed(LEASE_KEY, "it is missing");
        }
        looked.lease_key = looked.read(LEASE_KEY)?.and_then(|key| {
            let key = key.try_into().map_err(|key: Vec<u8>| key.len());
            key.map_err(|has| {
                looked.harmed(LEASE_KEY, format!("it has {has} bytes instead of {LEASE_KEY_BYTES}"))
            })
            .ok()
        });
        Ok(looked)
    }

    fn harmed(&mut self, file: &str, reason: impl ToString) {
        self.harm.push((file.to_owned(), reason.to_string()));
    }

    /// All of a small file, if it is there and can be read. Where only a right is missing, nothing is wrong with the file, and
    /// whoever has the right may look.
    fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, DataFolderError> {
        let path = self.path.join(name);
        match plain::read(&path, SMALL_BYTES_MAX) {
            Ok(found) => Ok(found),
            Err(error) if refused::is_denied(&error) => Err(io_error("read", &path, error)),
            Err(error) => {
                let reason = refused::misplaced(&error).map(Misplaced::to_string);
                self.harmed(name, reason.unwrap_or_else(|| format!("the disk cannot read this: {error}")));
                Ok(None)
            }
        }
    }

    /// Which store it is, if that can be read.
    pub(crate) fn store_id(&self) -> Option<Uuid> {
        self.store_id
    }

    /// The key of the lease tokens' seal, if it can be read.
    pub(crate) fn lease_key(&self) -> Option<&[u8; LEASE_KEY_BYTES]> {
        self.lease_key.as_ref()
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The address store's folder.
    pub(crate) fn addresses(&self) -> PathBuf {
        self.path.join(ADDRESSES)
    }

    /// The names of the logs' folders, in the order of what they say of a message.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.logs.iter().map(LogFolder::to_string).collect()
    }

    fn version(&mut self, text: &[u8]) -> Result<Option<Uuid>, DataFolderError> {
        let value: serde_json::Value = match serde_json::from_slice(text) {
            Ok(value) => value,
            Err(error) => {
                self.harmed(VERSION, error);
                return Ok(None);
            }
        };
        if let Some(found) = value["format"].as_u64().filter(|found| *found > u64::from(FORMAT)) {
            return Err(DataFolderError::Newer { path: self.path.clone(), found, supported: FORMAT });
        }
        if value["format"] == 0 {
            self.harmed(VERSION, "it names no format");
            return Ok(None);
        }
        match serde_json::from_value::<Version>(value) {
            Ok(version) => {
                (self.log_ids, self.addresses_id) = (version.logs, version.addresses);
                Ok(Some(version.store_id))
            }
            Err(error) => {
                self.harmed(VERSION, error);
                Ok(None)
            }
        }
    }
}
