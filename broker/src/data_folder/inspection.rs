//! Inspection of a data folder without any change: not even its lock file is written.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use restante_wire::json;
use uuid::Uuid;

use super::{
    ADDRESSES, DataFolderError, FORMAT, LEASE_KEY, LEASE_KEY_BYTES, LOCK, LOG, LogIds, SMALL_BYTES_MAX,
    VERSION, Version,
    error::{io_error, step},
    is_there, lock,
    logs::{self, LogEntries, LogFolder},
};
use crate::files::{
    os_error::{self, Misplaced},
    plain_file,
};

/// An inspected data folder, locked against changes while the value exists.
pub(crate) struct InspectedFolder {
    path: PathBuf,
    store_id: Option<Uuid>,
    lease_key: Option<[u8; LEASE_KEY_BYTES]>,
    /// Damaged or missing files, and the reason.
    pub(crate) damage: Vec<(String, String)>,
    /// The ids of the logs according to `restante.json`.
    pub(crate) log_ids: LogIds,
    /// The id of the address store according to `restante.json`.
    pub(crate) addresses_id: Option<String>,
    logs: Vec<LogFolder>,
    _lock: Option<File>,
}

/// Keeps brokers away from a folder that will be moved, while the value exists. Returns nothing if the folder has no
/// lock that a broker could hold.
pub(crate) fn lock_for_move(path: &Path) -> Result<Option<File>, DataFolderError> {
    lock::acquire_for_inspection(&path.join(LOCK)).map(|(lock, _)| lock)
}

impl InspectedFolder {
    /// Acquires the lock, if there is one, and reads the small files.
    pub(crate) fn open(path: &Path) -> Result<Self, DataFolderError> {
        if !step("inspect", path, || fs::metadata(path))?.is_dir() {
            return Err(DataFolderError::NoFolderToInspect { path: path.to_owned() });
        }
        let (_lock, no_lock) = lock::acquire_for_inspection(&path.join(LOCK))?;
        let LogEntries { mut logs, misplaced } = logs::names(path)?;
        logs.sort_unstable();
        let mut inspected = Self {
            path: path.to_owned(),
            store_id: None,
            lease_key: None,
            damage: misplaced
                .into_iter()
                .map(|(log, reason)| (log.to_string(), reason.to_string()))
                .collect(),
            log_ids: LogIds::new(),
            addresses_id: None,
            logs,
            _lock,
        };
        if let Some(reason) = no_lock {
            inspected.add_damage(LOCK, reason);
        }
        let version = inspected.read(VERSION)?;
        if version.is_none() && !is_there(&path.join(VERSION)) {
            if !is_there(&path.join(ADDRESSES)) && !is_there(&path.join(LOG)) {
                return Err(DataFolderError::NoDataFolder { path: path.to_owned() });
            }
            inspected.add_damage(VERSION, "it is missing");
        }
        inspected.store_id = version.map(|text| inspected.version(&text)).transpose()?.flatten();
        // Before the first broker has opened the folder, the key may be missing: the next start creates it.
        if !is_there(&path.join(LEASE_KEY)) && is_there(&path.join(ADDRESSES)) {
            inspected.add_damage(LEASE_KEY, "it is missing");
        }
        inspected.lease_key = inspected.read(LEASE_KEY)?.and_then(|key| {
            let key = key.try_into().map_err(|key: Vec<u8>| key.len());
            key.map_err(|has| {
                inspected.add_damage(LEASE_KEY, format!("it has {has} bytes instead of {LEASE_KEY_BYTES}"))
            })
            .ok()
        });
        Ok(inspected)
    }

    fn add_damage(&mut self, file: &str, reason: impl ToString) {
        self.damage.push((file.to_owned(), reason.to_string()));
    }

    /// Reads a small file if it exists and is readable. A missing permission is an error and not damage: a user with
    /// that permission can inspect the folder.
    fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, DataFolderError> {
        let path = self.path.join(name);
        match plain_file::read(&path, SMALL_BYTES_MAX) {
            Ok(found) => Ok(found),
            Err(error) if os_error::is_denied(&error) => Err(io_error("read", &path, error)),
            Err(error) => {
                let reason = os_error::misplaced(&error).map(Misplaced::to_string);
                self.add_damage(name, reason.unwrap_or_else(|| format!("the disk cannot read it: {error}")));
                Ok(None)
            }
        }
    }

    /// The store's id, if it is readable.
    pub(crate) fn store_id(&self) -> Option<Uuid> {
        self.store_id
    }

    /// The key that seals lease tokens, if it is readable.
    pub(crate) fn lease_key(&self) -> Option<&[u8; LEASE_KEY_BYTES]> {
        self.lease_key.as_ref()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn addresses(&self) -> PathBuf {
        self.path.join(ADDRESSES)
    }

    /// The names of the logs' folders, in replay order.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.logs.iter().map(LogFolder::to_string).collect()
    }

    fn version(&mut self, text: &[u8]) -> Result<Option<Uuid>, DataFolderError> {
        let value: serde_json::Value = match json::read(text) {
            Ok(value) => value,
            Err(fault) => {
                self.add_damage(VERSION, fault);
                return Ok(None);
            }
        };
        if let Some(found) = value["format"].as_u64().filter(|found| *found > u64::from(FORMAT)) {
            return Err(DataFolderError::Newer { path: self.path.clone(), found, supported: FORMAT });
        }
        if value["format"] == 0 {
            self.add_damage(VERSION, "it contains no valid format number");
            return Ok(None);
        }
        match json::read::<Version>(text) {
            Ok(version) => {
                (self.log_ids, self.addresses_id) = (version.logs, version.addresses);
                Ok(Some(version.store_id))
            }
            Err(fault) => {
                self.add_damage(VERSION, fault);
                Ok(None)
            }
        }
    }
}
