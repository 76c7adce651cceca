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

/// A folder that is being made. Dropped before its end, it is removed.
pub(super) struct Fresh {
    path: PathBuf,
    unfinished: PathBuf,
    whole: bool,
}

impl Fresh {
    /// Begins a folder where there is none, or an empty one. What an earlier attempt left is removed.
    pub(super) fn begin(path: &Path) -> Result<Self, CareError> {
        match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(CareError::NotEmpty { path: path.to_owned() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(CareError::io("look at", path, error)),
        }
        let name = path.file_name().ok_or_else(|| CareError::NoName { path: path.to_owned() })?;
        let mut unfinished = OsString::from(name);
        unfinished.push(UNFINISHED);
        let unfinished = path.with_file_name(unfinished);
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(CareError::io("remove", &unfinished, error));
            }
            _ => {}
        }
        let fresh = Self { path: path.to_owned(), unfinished, whole: false };
        fresh.make_folder(Path::new(""))?;
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
        let named = fs::rename(&self.unfinished, &self.path)
            .and_then(|()| crate::data_folder::durable::sync_folder_of(&self.path));
        match named {
            Ok(()) => {
                self.whole = true;
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

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}
