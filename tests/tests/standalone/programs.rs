//! Restante's own programs, as cargo builds them beside this test.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, ensure};
use restante_tests::{command::command, programs, tools};

/// The folder with `restante-broker`, `restante-operator` and `restante`, built from this working tree.
pub(crate) fn folder() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(folder) => Ok(folder),
        Err(error) => anyhow::bail!("there are no programs to test: {error}"),
    }
}

/// The command `restante` for a broker at this URL, whatever proxies the machine has.
pub(crate) fn restante(url: &str, arguments: &[&str]) -> Result<Command> {
    let mut restante = command(folder()?.join("restante"), arguments);
    restante.env("RESTANTE_URL", url).env("RESTANTE_PROXY", "none");
    Ok(restante)
}

/// Has cargo build them where it built this test. Not as one test's `CARGO_BIN_EXE_…`: they are other packages'.
fn build() -> Result<PathBuf> {
    // <target>/<profile's folder>/deps/<this test>
    let this_test = env::current_exe()?;
    let folder = this_test.ancestors().nth(2).context("cargo puts tests two folders below its own")?;
    let target = folder.parent().context("a profile's folder lies in cargo's own")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => anyhow::bail!("{} is not a folder of cargo's", folder.display()),
    };
    let mut cargo = command(env!("CARGO"), ["build", "--locked", "--workspace"]);
    // The whole workspace and a test of it: that is the set of packages and features that `make test-unit` names, and
    // with another nothing that is built already would do.
    cargo.args(["--test", "standalone", "--bin", "restante-broker"]);
    cargo.args(["--bin", "restante-operator", "--bin", "restante"]);
    cargo.args(["--profile", profile]).arg("--target-dir").arg(target).current_dir(tools::workspace());
    programs::remove_crate_variables(&mut cargo);
    let status = cargo.status().context("cargo could not be started")?;
    ensure!(status.success(), "the programs could not be built: what cargo said is above");
    Ok(folder.to_owned())
}
