//! Restante's own programs, built from this working tree as they are shipped: optimised, and static, so that they run in
//! an image with nothing else and on the machine as well.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{config::Config, tools::workspace};

/// Named, so that its flags are the programs' alone: cargo would otherwise build macros with them too, and macros
/// cannot be static.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What cargo tells the tests of this crate about it. Build scripts, which run again when such a variable has changed,
/// would take it for what is told to them, and all that depends on them would be built anew each time.
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

/// Removes from a cargo's environment what another cargo said of the crate that calls it.
pub fn forget_this_crate(cargo: &mut Command) {
    for variable in OF_THIS_CRATE {
        cargo.env_remove(variable);
    }
}

/// The folder that programs and images are made in, below cargo's own: flags that differ in the usual one would have
/// everything built again, each time.
pub fn target_folder() -> Result<PathBuf> {
    let target = Config::from_environment().target_dir.unwrap_or_else(|| workspace().join("target"));
    let folder = target.join("images");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}

/// Builds `restante-broker` and `restante-operator` if anything has changed, and gives their folder. These two and no
/// other, as Containerfile does: a third package could turn on features in what they share, and what runs here would not
/// be what is shipped.
pub fn build() -> Result<PathBuf> {
    let folder = target_folder()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "--release", "--target", TARGET]);
    cargo.args(["--package", "restante-broker", "--package", "restante-operator"]);
    cargo.arg("--target-dir").arg(&folder).current_dir(workspace());
    forget_this_crate(&mut cargo);
    // Minutes when cold: what cargo says is shown.
    let status = cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").status()?;
    ensure!(status.success(), "the programs could not be built: what cargo said is above");
    Ok(folder.join(TARGET).join("release"))
}
