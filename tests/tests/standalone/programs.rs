//! Restante's programs, built by cargo into the folder of this test's profile.

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
        Err(error) => anyhow::bail!("the programs to test could not be built: {error}"),
    }
}

/// The command `restante` for a broker at this URL, without the proxies of the machine.
pub(crate) fn restante(url: &str, arguments: &[&str]) -> Result<Command> {
    let mut restante = command(folder()?.join("restante"), arguments);
    restante.env("RESTANTE_URL", url).env("RESTANTE_PROXY", "none");
    Ok(restante)
}

/// Builds the programs with cargo, into the same folder as this test. `CARGO_BIN_EXE_…` would not do: it exists only
/// for programs of the test's own package.
fn build() -> Result<PathBuf> {
    // <target>/<profile's folder>/deps/<this test>
    let this_test = env::current_exe()?;
    let folder =
        this_test.ancestors().nth(2).context("cargo puts tests two folders below the target folder")?;
    let target = folder.parent().context("the folder of a profile is in the target folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => anyhow::bail!("{} is not the folder of a cargo profile", folder.display()),
    };
    let mut cargo = command(env!("CARGO"), ["build", "--locked", "--workspace"]);
    // `make test-unit` builds the same set of packages and features: the whole workspace and a test of it. With another
    // set, cargo would build everything again.
    cargo.args(["--test", "standalone", "--bin", "restante-broker"]);
    cargo.args(["--bin", "restante-operator", "--bin", "restante"]);
    cargo.args(["--profile", profile]).arg("--target-dir").arg(target).current_dir(tools::workspace());
    programs::remove_crate_variables(&mut cargo);
    let status = cargo.status().context("cargo could not be started")?;
    ensure!(status.success(), "cargo could not build the programs; its errors are above");
    Ok(folder.to_owned())
}
