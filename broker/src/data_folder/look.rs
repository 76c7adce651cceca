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
    lock,
    logs::{self, LogFolder},
    plain,
};

/// A data folder that nobody changes for as long as the value lives.
pub(crate) struct Looked {
    path: PathBuf,
    store_id: Option<Uuid>,
    lease_key: Option<[u8; LEASE_KEY_BYTES]>,
    /// Files that are damaged or missing, and how.
    pub(crate) harm: Vec<(&'static str, String)>,
    /// Which log is in which folder, as it is written down.
    pub(crate) log_ids: LogIds,
    logs: Vec<LogFolder>,
    _lock: Option<File>,
}

impl Looked {
    /// Takes the lock, if there is one, and reads what is small.
    pub(crate) fn open(path: &Path) -> Result<Self, DataFolderError> {
        if !step("look at", path, || fs::metadata(path))?.is_dir() {
            return Err(DataFolderError::NotAFolder { path: path.to_owned() });
        }
        let _lock = lock::acquire_to_look(&path.join(LOCK))?;
        let mut logs = step("list", path, || logs::names(path))?;
        logs.sort_unstable();
        let mut looked = Self {
            path: path.to_owned(),
            store_id: None,
            lease_key: None,
            harm: Vec::new(),
            log_ids: LogIds::new(),
            logs,
            _lock,
        };
        if let Some(reason) = looked.lock_harm()? {
            looked.harm.push((LOCK, reason));
        }
        looked.store_id = match read(&path.join(VERSION))? {
            Some(text) => looked.version(&text)?,
            None => {
                if !path.join(ADDRESSES).exists() && !path.join(LOG).exists() {
                    return Err(DataFolderError::NoDataFolder { path: path.to_owned() });
                }
                looked.harm.push((VERSION, "it is missing".to_owned()));
                None
            }
        };
        match read(&path.join(LEASE_KEY))?.map(TryInto::try_into) {
            Some(Ok(key)) => looked.lease_key = Some(key),
            Some(Err(key)) => {
                let key: Vec<u8> = key;
                looked
                    .harm
                    .push((LEASE_KEY, format!("it has {} bytes instead of {LEASE_KEY_BYTES}", key.len())));
            }
            None if path.join(ADDRESSES).exists() => {
                looked.harm.push((LEASE_KEY, "it is missing".to_owned()))
            }
            // No broker has come so far.
            None => {}
        }
        Ok(looked)
    }

    /// Why the lock is none.
    fn lock_harm(&self) -> Result<Option<String>, DataFolderError> {
        let Some(lock) = &self._lock else { return Ok(None) };
        step("look at", &self.path.join(LOCK), || lock::no_lock(lock))
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
                self.harm.push((VERSION, error.to_string()));
                return Ok(None);
            }
        };
        if let Some(found) = value["format"].as_u64().filter(|found| *found > u64::from(FORMAT)) {
            return Err(DataFolderError::Newer { path: self.path.clone(), found, supported: FORMAT });
        }
        match serde_json::from_value::<Version>(value) {
            Ok(version) => {
                self.log_ids = version.logs;
                Ok(Some(version.store_id))
            }
            Err(error) => {
                self.harm.push((VERSION, error.to_string()));
                Ok(None)
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, DataFolderError> {
    plain::read(path, SMALL_BYTES_MAX).map_err(|error| io_error("read", path, error))
}
