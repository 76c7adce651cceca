//! The destination of a new data folder, and the place of the old folder that has its name. All obstacles are found
//! before anything is read or created.

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

/// Suffix of the temporary name.
const UNFINISHED: &str = ".unfinished";

/// The destination of a new data folder.
pub(super) struct Destination {
    /// The folder itself; links are resolved.
    pub(super) path: PathBuf,
    /// The temporary path beside it, until the folder is complete.
    pub(super) unfinished: PathBuf,
    /// The folder that has the name now.
    pub(super) old: Option<OldFolder>,
}

/// A folder that moves away.
pub(super) struct OldFolder {
    pub(super) to: PathBuf,
    hold: OldLock,
}

/// The lock that keeps brokers away from a folder that moves.
enum OldLock {
    /// The command reads this folder, and therefore has its lock already.
    Reader,
    /// The folder's lock, or nothing if the folder has no lock file yet.
    Lock(Option<File>),
}

impl Destination {
    /// Checks a destination: the path must be unused, an empty folder, or a folder that moves away to `old`. `read` is
    /// the source of the new folder, which is locked already and must not change.
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
            Err(error) => return Err(MaintenanceError::io("inspect", &path, error)),
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
                refuse_existing(old)?;
                is_empty.map(|_| OldFolder::find(old, &path, &unfinished, read)).transpose()?
            }
        };
        Ok(Self { path, unfinished, old })
    }

    /// Whether the source folder is the one that moves away.
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
        let no_place = |how| MaintenanceError::CannotMoveOld { path: folder.to_owned(), how };
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(no_place("is not a folder")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_place("does not exist")),
            Err(error) => return Err(MaintenanceError::io("inspect", folder, error)),
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

    /// Locks the folder if it was empty when the destination was checked and is not empty any more.
    pub(super) fn hold(&mut self, path: &Path) -> Result<(), MaintenanceError> {
        if let OldLock::Lock(lock @ None) = &mut self.hold {
            *lock = inspection::lock_for_move(path)?;
        }
        Ok(())
    }
}

/// Resolves a link in the place of the folder.
fn resolved(path: &Path) -> Result<PathBuf, MaintenanceError> {
    let name = path.file_name().ok_or_else(|| MaintenanceError::NoName { path: path.to_owned() })?;
    // A trailing slash would follow the link here, but rename would not.
    let path = path.with_file_name(name);
    if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        return Ok(path);
    }
    path.canonicalize().map_err(|error| match error.kind() {
        ErrorKind::NotFound => MaintenanceError::DanglingLink { path },
        _ => MaintenanceError::io("inspect", &path, error),
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

/// Refuses an existing path for the old folder, even a dangling link.
fn refuse_existing(old: &Path) -> Result<(), MaintenanceError> {
    match fs::symlink_metadata(old) {
        Ok(_) => Err(MaintenanceError::OldIsThere { path: old.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(()),
        Err(error) => Err(MaintenanceError::io("inspect", old, error)),
    }
}

/// Refuses a folder inside another one, because creating it would change the outer folder.
fn refuse_inside(path: &Path, outer: &Path) -> Result<(), MaintenanceError> {
    let Ok(outer) = outer.canonicalize() else { return Ok(()) };
    // The nearest existing ancestor.
    let inside = folder_of(path).ancestors().find_map(|parent| parent.canonicalize().ok());
    match inside.is_some_and(|parent| parent.starts_with(&outer)) {
        true => Err(MaintenanceError::Inside { path: path.to_owned(), outer }),
        false => Ok(()),
    }
}

/// The parent folder of a path.
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

/// Whether a volume is mounted there: a rename cannot replace a mount point. Some systems do not report this.
fn is_mount_point(path: &Path) -> bool {
    statx(CWD, path, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The scope of a rename: a file system at one mount point.
fn volume(path: &Path) -> io::Result<(u64, Option<u64>)> {
    let mount = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok();
    let mount = mount.filter(|found| found.stx_mask & StatxFlags::MNT_ID.bits() != 0);
    Ok((fs::metadata(path)?.dev(), mount.map(|found| found.stx_mnt_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_refused_as_destination_even_with_a_place_for_the_old_folder() {
        assert!(is_mount_point(Path::new("/proc")));
        for old in [None, Some(Path::new("/no-such-folder"))] {
            let refused = Destination::find(Path::new("/proc/"), old, None).map(drop).unwrap_err();
            assert!(refused.to_string().contains("is a mount point"), "{refused}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_mount_point(folder.path()));
    }
}
