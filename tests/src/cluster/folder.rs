//! The folder of a cluster: certificates, logs, state, volumes. It is removed with its content.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::run_name::RunName;

/// A temporary folder of this run, removed on drop.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes an empty folder. Its path is short, because the path of a Unix socket has at most 107 bytes (unix(7)).
    pub fn create(what: &str) -> Result<Self> {
        let path = env::temp_dir().join(RunName::of_this_process().thing(what));
        fs::create_dir(&path).with_context(|| format!("cannot create the folder {}", path.display()))?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a subfolder, which is made if it does not exist.
    pub fn sub(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create the folder {}", path.display()))?;
        Ok(path)
    }

    /// Writes a file with this text.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // An error cannot be reported here; the next run removes the rest.
        let _ = fs::remove_dir_all(&self.path);
    }
}
