//! Programs of the control plane. `tests/control-plane/build.sh` builds them from pinned sources and caches them, so
//! that only the first call takes time.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Folders of the programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tools {
    built: PathBuf,
    /// Searched first: `KUBEBUILDER_ASSETS`.
    assets: Option<PathBuf>,
}

impl Tools {
    /// Builds missing programs. Without a cache, this takes a quarter of an hour on two cores.
    pub fn find(config: &Config) -> Result<Self> {
        let script = workspace().join("tests/control-plane/build.sh");
        let output = Command::new(&script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", script.display()))?;
        if !output.status.success() {
            bail!("{} ended with {}; its output is above", script.display(), output.status);
        }
        let built = PathBuf::from(String::from_utf8(output.stdout)?.trim_end());
        Ok(Self { built, assets: config.kubebuilder_assets.clone() })
    }

    /// The folder of all built programs.
    pub fn folder(&self) -> &Path {
        &self.built
    }

    pub fn path(&self, program: &str) -> PathBuf {
        let given = self.assets.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
        given.unwrap_or_else(|| self.built.join(program))
    }
}

/// The root of the repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a folder of the workspace")
        .to_owned()
}
