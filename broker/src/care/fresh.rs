//! A data folder that is made in one piece: under another name until it is whole, so that a crash leaves none that looks
//! like one.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::CareError;

/// What the name ends with while the folder is being made.
const UNFINISHED: &str = ".unfinished";
/// A file that tells that nobody else made the folder: an attempt that was not finished may be removed.
const MARK: &str = "unfinished";

/// A folder that is being made. Dropped before its end, it is removed.
pub(super) struct Fresh {
    path: PathBuf,
    unfinished: PathBuf,
    /// Where the folder goes that has the name now.
    old: Option<PathBuf>,
    whole: bool,
}

impl Fresh {
    /// Begins a folder where there is none, or an empty one, or one that moves to `old`. What an earlier attempt left is
    /// removed.
    pub(super) fn begin(path: &Path, old: Option<&Path>) -> Result<Self, CareError> {
        if let Some(old) = old {
            if old.exists() {
                return Err(CareError::OldIsThere { path: old.to_owned() });
            }
            refuse_inside(old, path)?;
        }
        match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) if old.is_some() => {}
            Ok(false) => return Err(CareError::NotEmpty { path: path.to_owned() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(CareError::io("look at", path, error)),
        }
        let name = path.file_name().ok_or_else(|| CareError::NoName { path: path.to_owned() })?;
        let mut unfinished = OsString::from(name);
        unfinished.push(UNFINISHED);
        let unfinished = path.with_file_name(unfinished);
        remove_left(&unfinished)?;
        let fresh = Self { path: path.to_owned(), unfinished, old: old.map(Path::to_owned), whole: false };
        fresh.make_folder(Path::new(""))?;
        let mark = fresh.unfinished.join(MARK);
        File::create(&mark).map_err(|error| CareError::io("make", &mark, error))?;
        Ok(fresh)
    }

    /// Where the folder is while it is being made.
    pub(super) fn folder(&self) -> &Path {
        &self.unfinished
    }

    /// Makes a folder in it, for its owner alone.
    pub(super) fn make_folder(&self, name: &Path) -> Result<(), CareError> {
        let path = self.unfinished.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| CareError::io("make", &path, error))
    }

    /// Gives it its name, on disk as well. Its files are synced already.
    pub(super) fn finish(mut self) -> Result<(), CareError> {
        sync_folders(&self.unfinished).map_err(|error| CareError::io("sync", &self.unfinished, error))?;
        if let Some(old) = self.old.as_ref().filter(|_| self.path.exists()) {
            fs::rename(&self.path, old).map_err(|error| CareError::io("move away", &self.path, error))?;
        }
        let named = fs::rename(&self.unfinished, &self.path)
            .and_then(|()| crate::data_folder::durable::sync_folder_of(&self.path));
        match named {
            Ok(()) => {
                self.whole = true;
                // It says nothing any more under the folder's name.
                let _ = fs::remove_file(self.path.join(MARK));
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) => {
                Err(CareError::MountPoint { path: self.path.clone() })
            }
            Err(error) => Err(CareError::io("give its name to", &self.path, error)),
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.whole {
            // The next attempt removes what cannot be removed now.
            let _ = fs::remove_dir_all(&self.unfinished);
        }
    }
}

/// Removes what an earlier attempt left, and nothing else.
fn remove_left(unfinished: &Path) -> Result<(), CareError> {
    match fs::remove_dir(unfinished) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    if !unfinished.join(MARK).exists() {
        return Err(CareError::UnfinishedIsThere { path: unfinished.to_owned() });
    }
    fs::remove_dir_all(unfinished).map_err(|error| CareError::io("remove", unfinished, error))
}

/// Refuses a folder that would be made in another, which would change that one.
pub(super) fn refuse_inside(path: &Path, outer: &Path) -> Result<(), CareError> {
    let parent = path.parent().map(|parent| if parent == "" { Path::new(".") } else { parent });
    let (Some(parent), Ok(outer)) = (parent, outer.canonicalize()) else { return Ok(()) };
    // The nearest of its parents that is there.
    let inside = parent.ancestors().find_map(|parent| parent.canonicalize().ok());
    match inside.is_some_and(|parent| parent.starts_with(&outer)) {
        true => Err(CareError::Inside { path: path.to_owned(), outer }),
        false => Ok(()),
    }
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
