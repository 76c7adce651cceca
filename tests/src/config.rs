//! What the tests read from the environment, and nowhere else.

use std::path::PathBuf;

use clap::Parser;

/// Settings of a test run.
#[derive(Debug, Clone, Parser)]
pub struct Config {
    /// Set by most continuous integration services. A test that needs root is then never skipped.
    #[arg(long, env = "CI", default_value = "false")]
    ci: String,
    /// A folder with `etcd`, `kube-apiserver` and `kubectl` to use instead of those built here, as other operators'
    /// tests take it.
    #[arg(long, env = "KUBEBUILDER_ASSETS")]
    pub kubebuilder_assets: Option<PathBuf>,
    /// Where cargo builds, if not in `target` of the workspace.
    #[arg(long, env = "CARGO_TARGET_DIR")]
    pub target_dir: Option<PathBuf>,
    /// Where commands are looked for.
    #[arg(long, env = "PATH", default_value = "/usr/local/bin:/usr/bin:/bin")]
    path: String,
}

impl Config {
    /// From the environment alone: the arguments of a test binary belong to the test runner.
    pub fn from_environment() -> Self {
        Self::parse_from(["restante-tests"])
    }

    /// Whether this is continuous integration.
    pub fn is_ci(&self) -> bool {
        !matches!(self.ci.as_str(), "" | "0" | "false")
    }

    /// PATH, with the folders that hold administrators' commands, which not every account has there.
    pub fn path(&self) -> String {
        format!("{}:/usr/local/sbin:/usr/sbin:/sbin", self.path)
    }
}
