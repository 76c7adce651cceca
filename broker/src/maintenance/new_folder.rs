//! Creates a data folder atomically: it has a temporary name until it is complete, so that a crash never leaves an
//! incomplete folder under the final name.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{MaintenanceError, destination::Destination};
use crate::{
    data_folder,
    files::{durable, plain_file},
};

/// The file that marks an unfinished folder. A later attempt removes a folder with this file. The command that creates
/// the folder holds a lock on the file.
const MARK: &str = "unfinished";
/// The content of the mark. A file of this name with another content is not a mark.
const MARK_TEXT: &str =
    "restante-broker is making this data folder. If it is not, the folder is not whole and may be removed.\n";

/// A folder under construction. Dropping it before [`Self::finish`] removes the folder.
pub(super) struct NewFolder {
    place: Destination,
    mark: Option<File>,
    whole: bool,
}

impl NewFolder {
    /// Creates the folder under its temporary name, after removing the leftovers of an earlier attempt.
    pub(super) fn begin(place: Destination) -> Result<Self, MaintenanceError> {
        remove_leftover(&place)?;
        let mut fresh = Self { place, mark: None, whole: false };
        fresh.make_folder(Path::new(""))?;
        let mark = fresh.folder().join(MARK);
        let made = File::create_new(&mark).map_err(|error| MaintenanceError::io("create", &mark, error))?;
        // On a file system without locks, two simultaneous attempts do not notice each other.
        let _ = made.try_lock();
        let made = fresh.mark.insert(made);
        made.write_all(MARK_TEXT.as_bytes()).map_err(|error| MaintenanceError::io("write", &mark, error))?;
        Ok(fresh)
    }

    /// The folder's current path: its temporary name.
    pub(super) fn folder(&self) -> &Path {
        &self.place.unfinished
    }

    /// Creates a subfolder, accessible to its owner only.
    pub(super) fn make_folder(&self, name: &Path) -> Result<(), MaintenanceError> {
        let path = self.folder().join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| MaintenanceError::io("create", &path, error))
    }

    /// Gives the folder its final name, durably. The caller has synced the files.
    pub(super) fn finish(mut self) -> Result<(), MaintenanceError> {
        // A complete folder has no mark, so that no later attempt removes it if this one is interrupted from here on.
        let mark = self.folder().join(MARK);
        fs::remove_file(&mark).map_err(|error| MaintenanceError::io("remove", &mark, error))?;
        sync_folders(self.folder()).map_err(|error| MaintenanceError::io("sync", self.folder(), error))?;
        let Destination { path, unfinished, old } = &mut self.place;
        if let Some(old) = old {
            old.hold(path)?;
            // An exchange, so that a folder of that name exists at every moment. Some file systems cannot do that.
            let exchanged = renameat_with(CWD, &*unfinished, CWD, &*path, RenameFlags::EXCHANGE).is_ok();
            self.whole = exchanged;
            let from = if exchanged { &*unfinished } else { &*path };
            if let Err(error) = fs::rename(from, &old.to) {
                if exchanged {
                    let back = renameat_with(CWD, &*unfinished, CWD, &*path, RenameFlags::EXCHANGE);
                    self.whole = back.is_err();
                }
                return Err(match error.kind() {
                    ErrorKind::ResourceBusy => MaintenanceError::MountPoint { path: path.clone() },
                    ErrorKind::CrossesDevices => {
                        MaintenanceError::OtherVolume { old: old.to.clone(), path: path.clone() }
                    }
                    _ => MaintenanceError::io("move away", path, error),
                });
            }
        }
        if !self.whole
            && let Err(error) = fs::rename(unfinished, &path)
        {
            // Moves the old folder back.
            old.iter().for_each(|old| drop(fs::rename(&old.to, &path)));
            return Err(match error.kind() {
                ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
                    MaintenanceError::MountPoint { path: path.clone() }
                }
                _ => MaintenanceError::io("rename the new folder to", path, error),
            });
        }
        self.whole = true;
        let synced =
            old.iter().map(|old| &old.to).chain([&*path]).try_for_each(|path| durable::sync_folder_of(path));
        synced.map_err(|error| MaintenanceError::io("sync the folder of", path, error))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // An unmarked folder may belong to another process that was faster.
        if !self.whole && self.mark.is_some() {
            // If removal fails, the next attempt removes the folder.
            let _ = fs::remove_dir_all(self.folder());
        }
    }
}

/// Removes the leftovers of an earlier attempt, and nothing else. The attempt may have ended before it wrote its mark.
fn remove_leftover(Destination { path, unfinished, .. }: &Destination) -> Result<(), MaintenanceError> {
    let somebodys = || MaintenanceError::UnfinishedIsThere { path: unfinished.clone() };
    match fs::symlink_metadata(unfinished) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(MaintenanceError::io("inspect", unfinished, error)),
        Ok(found) if !found.is_dir() => return Err(somebodys()),
        Ok(_) if fs::remove_dir(unfinished).is_ok() => return Ok(()),
        Ok(_) => {}
    }
    let mark = plain_file::open(&unfinished.join(MARK)).ok().flatten().ok_or_else(somebodys)?;
    if let Err(TryLockError::WouldBlock) = mark.try_lock() {
        return Err(MaintenanceError::InProgress { path: path.clone() });
    }
    let mut text = String::new();
    let is_ours =
        (&mark).take(MARK_TEXT.len() as u64 + 1).read_to_string(&mut text).is_ok() && text == MARK_TEXT;
    // A broker that was started on the folder may have stored messages in it.
    if !is_ours || unfinished.join(data_folder::LOCK).exists() {
        return Err(somebodys());
    }
    fs::remove_dir_all(unfinished).map_err(|error| MaintenanceError::io("remove", unfinished, error))
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}
