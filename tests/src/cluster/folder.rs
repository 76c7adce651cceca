//! The folder of a cluster: certificates, logs, state, volumes. Removed with all that is in it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::run_name::RunName;

/// A folder of this run among the temporary files, removed when it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// An empty folder. Its path is short, because a Unix socket's may have 107 bytes at most (unix(7)).
    pub fn create(what: &str) -> Result<Self> {
        let path = env::temp_dir().join(RunName::of_this_process().thing(what));
        fs::create_dir(&path).with_context(|| format!("folder {} cannot be made", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A subfolder, made if it is not there.
    pub fn sub(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("folder {} cannot be made", path.display()))?;
        Ok(path)
    }

    /// A file with this text.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to tell; the next run clears what stays.
        let _ = fs::remove_dir_all(&self.path);
    }
}
