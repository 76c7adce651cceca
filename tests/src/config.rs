//! Settings of the tests from the environment. Only this module reads it.

use std::path::PathBuf;

use clap::Parser;

#[derive(Debug, Clone, Parser)]
pub struct Config {
    /// Set by most continuous integration services. Then a test that needs root is never skipped.
    #[arg(long, env = "CI", default_value = "false")]
    ci: String,
    /// A folder with `etcd`, `kube-apiserver` and `kubectl` to use instead of the ones built here, as in the tests of
    /// other operators.
    #[arg(long, env = "KUBEBUILDER_ASSETS")]
    pub kubebuilder_assets: Option<PathBuf>,
    /// cargo's target folder, if not `target` in the workspace.
    #[arg(long, env = "CARGO_TARGET_DIR")]
    pub target_dir: Option<PathBuf>,
    /// Folders to search for commands.
    #[arg(long, env = "PATH", default_value = "/usr/local/bin:/usr/bin:/bin")]
    path: String,
}

impl Config {
    /// Reads the environment only: the arguments of a test binary belong to the test runner.
    pub fn from_environment() -> Self {
        Self::parse_from(["restante-tests"])
    }

    pub fn is_ci(&self) -> bool {
        !matches!(self.ci.as_str(), "" | "0" | "false")
    }

    /// PATH with the folders of administrators' commands, which are missing in the PATH of some accounts.
    pub fn path(&self) -> String {
        format!("{}:/usr/local/sbin:/usr/sbin:/sbin", self.path)
    }
}
