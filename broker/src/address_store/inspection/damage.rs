//! What is wrong with the store's files, as it was found.

use std::{io, ops::Range, path::Path};

use super::{CANNOT_READ, InspectedStore, OpenError};
use crate::data_folder::os_error;

/// Something that is wrong with a file.
#[derive(Debug)]
pub(crate) struct Damage {
    /// The file; empty where it is the folder.
    pub(crate) file: &'static str,
    /// Which of its bytes.
    pub(crate) bytes: Range<u64>,
    /// What is wrong.
    pub(crate) reason: String,
    /// Why it is so.
    pub(super) cause: Cause,
}

/// What a start makes of something that is wrong.
#[derive(Debug)]
pub(super) enum Cause {
    /// The bytes are not what was written.
    Bytes,
    /// The whole file is missing, or older than the other.
    Missing,
    /// The system does not give it.
    System(io::Error),
}

impl InspectedStore {
    pub(super) fn add_damage(&mut self, file: &'static str, bytes: Range<u64>, reason: impl Into<String>) {
        self.damage.push(Damage { file, bytes, reason: reason.into(), cause: Cause::Bytes });
    }

    pub(super) fn missing(&mut self, file: &'static str, reason: &str) {
        let is_told = self.damage.iter().any(|damage| damage.file == file);
        if !is_told {
            self.damage.push(Damage { file, bytes: 0..0, reason: reason.to_owned(), cause: Cause::Missing });
        }
    }

    /// The system does not let this process read the file. A missing right is an error and no damage: the file may be sound.
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
            None => format!("the disk cannot read this: {source}"),
        };
        self.damage.push(Damage { file, bytes, reason, cause: Cause::System(source) });
        Ok(())
    }
}
