//! Where a new data folder goes, and where the one goes that has its name now: whatever forbids that is found out before
//! anything is read or made.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx},
    io::Errno,
};

use super::MaintenanceError;
use crate::data_folder::inspection::{self, InspectedFolder};

/// What the name ends with while the folder is being made.
const UNFINISHED: &str = ".unfinished";

/// Where a new data folder goes.
pub(super) struct Destination {
    /// The folder itself, where a link leads to it.
    pub(super) path: PathBuf,
    /// What it is called until it is whole: beside it.
    pub(super) unfinished: PathBuf,
    /// The folder that has the name now.
    pub(super) old: Option<OldFolder>,
}

/// A folder that moves away.
pub(super) struct OldFolder {
    /// Where to.
    pub(super) to: PathBuf,
    hold: OldLock,
}

/// What keeps brokers away from a folder that moves.
enum OldLock {
    /// The command reads this folder, and so has its lock already.
    Reader,
    /// Its lock; none where there is none so far.
    Lock(Option<File>),
}

impl Destination {
    /// A place where there is no folder, or an empty one, or one that moves away to `old`. `read` is the folder that the new one
    /// is made of, which is held already and stays as it is.
    pub(super) fn find(
        path: &Path,
        old: Option<&Path>,
        read: Option<&InspectedFolder>,
    ) -> Result<Self, MaintenanceError> {
        let path = resolved(path)?;
        let unfinished = unfinished(&path)?;
        let is_empty = match fs::read_dir(&path).map(|mut entries| entries.next().is_none()) {
            Ok(is_empty) => Some(is_empty),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(MaintenanceError::io("look at", &path, error)),
        };
        if is_empty.is_some() && is_mount_point(&path) {
            return Err(MaintenanceError::MountPoint { path });
        }
        if let Some(read) = read {
            refuse_inside(&path, read.path())?;
        }
        let old = match old {
            None if is_empty == Some(false) => return Err(MaintenanceError::NotEmpty { path }),
            None => None,
            Some(old) => {
                refuse_taken(old)?;
                is_empty.map(|_| OldFolder::find(old, &path, &unfinished, read)).transpose()?
            }
        };
        Ok(Self { path, unfinished, old })
    }

    /// Whether the folder that is read is the one that moves away.
    pub(super) fn moves_source(&self) -> bool {
        self.old.as_ref().is_some_and(|old| matches!(old.hold, OldLock::Reader))
    }
}

impl OldFolder {
    fn find(
        to: &Path,
        path: &Path,
        unfinished: &Path,
        read: Option<&InspectedFolder>,
    ) -> Result<Self, MaintenanceError> {
        let folder = folder_of(to);
        let no_place = |how| MaintenanceError::NoPlaceForOld { path: folder.to_owned(), how };
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(no_place("is no folder")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_place("is not there")),
            Err(error) => return Err(MaintenanceError::io("look at", folder, error)),
        }
        refuse_inside(to, path)?;
        read.map_or(Ok(()), |read| refuse_inside(to, read.path()))?;
        if to.file_name() == unfinished.file_name() && is_same(folder, folder_of(unfinished)) {
            return Err(MaintenanceError::OldIsUnfinished { path: to.to_owned() });
        }
        if volume(folder).ok() != volume(path).ok() {
            return Err(MaintenanceError::OtherVolume { old: to.to_owned(), path: path.to_owned() });
        }
        let is_read = read.is_some_and(|read| is_same(read.path(), path));
        let hold = if is_read { OldLock::Reader } else { OldLock::Lock(inspection::lock_for_move(path)?) };
        Ok(Self { to: to.to_owned(), hold })
    }

    /// Keeps brokers away as well from a folder that was empty and is none any more.
    pub(super) fn hold(&mut self, path: &Path) -> Result<(), MaintenanceError> {
        if let OldLock::Lock(lock @ None) = &mut self.hold {
            *lock = inspection::lock_for_move(path)?;
        }
        Ok(())
    }
}

/// The folder that a path names, which a link may lead to.
fn resolved(path: &Path) -> Result<PathBuf, MaintenanceError> {
    let name = path.file_name().ok_or_else(|| MaintenanceError::NoName { path: path.to_owned() })?;
    // Without a slash at its end, which would be looked at through a link and not be renamed through it.
    let path = path.with_file_name(name);
    if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        return Ok(path);
    }
    path.canonicalize().map_err(|error| match error.kind() {
        ErrorKind::NotFound => MaintenanceError::LeadsNowhere { path },
        _ => MaintenanceError::io("look at", &path, error),
    })
}

fn unfinished(path: &Path) -> Result<PathBuf, MaintenanceError> {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(UNFINISHED);
    let unfinished = path.with_file_name(name);
    match fs::symlink_metadata(&unfinished) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NAMETOOLONG) => {
            Err(MaintenanceError::NameTooLong { path: path.to_owned() })
        }
        _ => Ok(unfinished),
    }
}

/// Refuses a name for the old folder that something has, and be it a link that leads nowhere.
fn refuse_taken(old: &Path) -> Result<(), MaintenanceError> {
    match fs::symlink_metadata(old) {
        Ok(_) => Err(MaintenanceError::OldIsThere { path: old.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(()),
        Err(error) => Err(MaintenanceError::io("look at", old, error)),
    }
}

/// Refuses a folder that would be made in another, which would change that one.
fn refuse_inside(path: &Path, outer: &Path) -> Result<(), MaintenanceError> {
    let Ok(outer) = outer.canonicalize() else { return Ok(()) };
    // The nearest of its parents that is there.
    let inside = folder_of(path).ancestors().find_map(|parent| parent.canonicalize().ok());
    match inside.is_some_and(|parent| parent.starts_with(&outer)) {
        true => Err(MaintenanceError::Inside { path: path.to_owned(), outer }),
        false => Ok(()),
    }
}

/// The folder in which a path's last name is.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != "").unwrap_or(Path::new("."))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |found: Metadata| (found.dev(), found.ino());
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => id(one) == id(other),
        _ => false,
    }
}

/// Whether a volume is mounted there, which no folder can take the place of. Not every system tells.
fn is_mount_point(path: &Path) -> bool {
    statx(CWD, path, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// What a folder can be renamed within: a file system, as it is mounted in one place.
fn volume(path: &Path) -> io::Result<(u64, Option<u64>)> {
    let mount = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok();
    let mount = mount.filter(|found| found.stx_mask & StatxFlags::MNT_ID.bits() != 0);
    Ok((fs::metadata(path)?.dev(), mount.map(|found| found.stx_mnt_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_is_mounted_is_no_place_for_a_folder_even_where_the_old_one_is_to_move_away() {
        assert!(is_mount_point(Path::new("/proc")));
        for old in [None, Some(Path::new("/no-such-folder"))] {
            let refused = Destination::find(Path::new("/proc/"), old, None).map(drop).unwrap_err();
            assert!(refused.to_string().contains("is where a volume is mounted"), "{refused}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_mount_point(folder.path()));
    }
}
