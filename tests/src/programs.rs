//! Restante's programs, built from this working tree like the shipped ones: optimised, and static, so that they run in
//! an otherwise empty image and on the machine.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{config::Config, tools::workspace};

/// An explicit target, so that the flags apply to the programs only: cargo would otherwise build macros with them, and
/// macros cannot be static.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Variables that cargo sets for the tests of this crate. A nested cargo would pass them to build scripts, which run
/// again when such a variable changes, so that everything that depends on them would be rebuilt each time.
const OF_THIS_CRATE: [&str; 8] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// Removes the variables that cargo has set for this crate from the environment of a nested cargo.
pub fn remove_crate_variables(cargo: &mut Command) {
    for variable in OF_THIS_CRATE {
        cargo.env_remove(variable);
    }
}

/// Folder for programs and images, inside cargo's target folder. In the target folder itself, the different flags would
/// cause a complete rebuild each time.
pub fn target_folder() -> Result<PathBuf> {
    let target = Config::from_environment().target_dir.unwrap_or_else(|| workspace().join("target"));
    let folder = target.join("images");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Builds `restante-broker` and `restante-operator` if anything has changed, and returns their folder. Only these two,
/// as in the Containerfile: a third package could turn on features of shared dependencies, and the tests would run
/// other programs than the shipped ones.
pub fn build() -> Result<PathBuf> {
    let folder = target_folder()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--release", "--target", TARGET]);
    cargo.args(["--package", "restante-broker", "--package", "restante-operator"]);
    cargo.arg("--target-dir").arg(&folder).current_dir(workspace());
    remove_crate_variables(&mut cargo);
    // A cold build takes minutes, so cargo's output is shown.
    let status = cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").status()?;
    ensure!(status.success(), "building the programs failed; cargo's output is above");
    Ok(folder.join(TARGET).join("release"))
}
