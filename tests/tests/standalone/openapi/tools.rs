//! Python programs that read OpenAPI documents, installed by `tests/openapi/install.sh`.

use std::{
    io::{Write, stderr},
    path::PathBuf,
    thread,
};

use anyhow::Result;
use restante_tests::{
    command::{command, run},
    config::Config,
    tools,
};

/// The folder with the other files that the tests need.
pub(super) fn sources() -> PathBuf {
    tools::workspace().join("tests/openapi")
}

/// The folder of the programs. `None`, with a printed reason, if they cannot be installed; an error in CI.
pub(super) fn programs() -> Result<Option<PathBuf>> {
    let installed = run(&mut command::<&str>(sources().join("install.sh"), []));
    match installed {
        Ok(folder) => Ok(Some(folder.trim_end().into())),
        Err(error) if Config::from_environment().is_ci() => Err(error),
        Err(error) => {
            let test = thread::current().name().unwrap_or("a test").to_owned();
            // Written directly, because the test runner hides the output of passing tests.
            let _ = writeln!(
                stderr(),
                "skipped: {test}: it needs Python 3 and, the first time, its package registry: {error:#}"
            );
            Ok(None)
        }
    }
}
