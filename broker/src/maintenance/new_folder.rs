//! A data folder that is made in one piece: under another name until it is whole, so that a crash leaves none that looks
//! like one.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{MaintenanceError, destination::Destination};
use crate::data_folder::{self, durable, plain_file};

/// The file that marks a folder as one that a command is making. A marked folder is not whole, and a later attempt removes it. The
/// command that makes the folder holds the file's lock.
const MARK: &str = "unfinished";
/// What the file holds. A file of that name with another text is no mark.
const MARK_TEXT: &str =
    "restante-broker is making this data folder. If it is not, the folder is not whole and may be removed.\n";

/// A folder that is being made. Dropped before its end, it is removed.
pub(super) struct NewFolder {
    place: Destination,
    mark: Option<File>,
    whole: bool,
}

impl NewFolder {
    /// Begins a folder. What an earlier attempt left is removed.
    pub(super) fn begin(place: Destination) -> Result<Self, MaintenanceError> {
        remove_leftover(&place)?;
        let mut fresh = Self { place, mark: None, whole: false };
        fresh.make_folder(Path::new(""))?;
        let mark = fresh.folder().join(MARK);
        let made = File::create_new(&mark).map_err(|error| MaintenanceError::io("make", &mark, error))?;
        // On a file system without locks two attempts at once are not told apart.
        let _ = made.try_lock();
        let made = fresh.mark.insert(made);
        made.write_all(MARK_TEXT.as_bytes()).map_err(|error| MaintenanceError::io("write", &mark, error))?;
        Ok(fresh)
    }

    /// Where the folder is while it is being made.
    pub(super) fn folder(&self) -> &Path {
        &self.place.unfinished
    }

    /// Makes a folder in it, for its owner alone.
    pub(super) fn make_folder(&self, name: &Path) -> Result<(), MaintenanceError> {
        let path = self.folder().join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| MaintenanceError::io("make", &path, error))
    }

    /// Gives it its name, on disk as well. Its files are synced already.
    pub(super) fn finish(mut self) -> Result<(), MaintenanceError> {
        // What is whole has no mark: nobody removes it, wherever this ends.
        let mark = self.folder().join(MARK);
        fs::remove_file(&mark).map_err(|error| MaintenanceError::io("remove", &mark, error))?;
        sync_folders(self.folder()).map_err(|error| MaintenanceError::io("sync", self.folder(), error))?;
        let Destination { path, unfinished, old } = &mut self.place;
        if let Some(old) = old {
            old.hold(path)?;
            // In one step, so that there is a folder of that name all the time. Not every file system can.
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
            // Where there was a folder, there is one.
            old.iter().for_each(|old| drop(fs::rename(&old.to, &path)));
            return Err(match error.kind() {
                ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
                    MaintenanceError::MountPoint { path: path.clone() }
                }
                _ => MaintenanceError::io("give its name to", path, error),
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
        // What nobody has marked may be of somebody who was faster.
        if !self.whole && self.mark.is_some() {
            // The next attempt removes what cannot be removed now.
            let _ = fs::remove_dir_all(self.folder());
        }
    }
}

/// Removes what an earlier attempt left, which may have ended before its mark was there, and nothing else.
fn remove_leftover(Destination { path, unfinished, .. }: &Destination) -> Result<(), MaintenanceError> {
    let somebodys = || MaintenanceError::UnfinishedIsThere { path: unfinished.clone() };
    match fs::symlink_metadata(unfinished) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(MaintenanceError::io("look at", unfinished, error)),
        Ok(found) if !found.is_dir() => return Err(somebodys()),
        Ok(_) if fs::remove_dir(unfinished).is_ok() => return Ok(()),
        Ok(_) => {}
    }
    let mark = plain_file::open(&unfinished.join(MARK)).ok().flatten().ok_or_else(somebodys)?;
    if let Err(TryLockError::WouldBlock) = mark.try_lock() {
        return Err(MaintenanceError::BeingMade { path: path.clone() });
    }
    let mut text = String::new();
    let is_ours =
        (&mark).take(MARK_TEXT.len() as u64 + 1).read_to_string(&mut text).is_ok() && text == MARK_TEXT;
    // A broker that was started on it may have stored something.
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
