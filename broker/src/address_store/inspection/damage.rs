//! Damage of the store's files.

use std::{io, ops::Range, path::Path};

use super::{CANNOT_READ, InspectedStore, OpenError};
use crate::files::os_error;

/// Damage of a file.
#[derive(Debug)]
pub(crate) struct Damage {
    /// The file; empty for the folder.
    pub(crate) file: &'static str,
    pub(crate) bytes: Range<u64>,
    pub(crate) reason: String,
    pub(super) cause: Cause,
}

/// The error of a start for this damage.
#[derive(Debug)]
pub(super) enum Cause {
    /// The bytes have changed.
    Bytes,
    /// The whole file is missing, or older than the other one.
    Missing,
    /// The operating system reports an error.
    System(io::Error),
}

impl InspectedStore {
    pub(super) fn add_damage(&mut self, file: &'static str, bytes: Range<u64>, reason: impl Into<String>) {
        self.damage.push(Damage { file, bytes, reason: reason.into(), cause: Cause::Bytes });
    }

    pub(super) fn missing(&mut self, file: &'static str, reason: &str) {
        let is_reported = self.damage.iter().any(|damage| damage.file == file);
        if !is_reported {
            self.damage.push(Damage { file, bytes: 0..0, reason: reason.to_owned(), cause: Cause::Missing });
        }
    }

    /// Reports a read error as damage. A missing permission is an error instead: the file may be intact.
    pub(super) fn refused(
        &mut self,
        file: &'static str,
        bytes: Range<u64>,
        path: &Path,
        source: io::Error,
    ) -> Result<(), OpenError> {
        if os_error::is_denied(&source) {
            return Err(OpenError::Io { action: CANNOT_READ, path: path.to_owned(), source });
        }
        let reason = match os_error::misplaced(&source) {
            Some(misplaced) => misplaced.to_string(),
            None => format!("the disk cannot read it: {source}"),
        };
        self.damage.push(Damage { file, bytes, reason, cause: Cause::System(source) });
        Ok(())
    }
}
