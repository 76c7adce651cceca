//! Requirements of tests beyond cargo. A test with a missing requirement is skipped with a message, but in continuous
//! integration it fails.

use std::{
    io::{ErrorKind, Write, stderr},
    process::Stdio,
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;

use crate::{command::command, config::Config};

/// Whether a test that needs root, for namespaces or mounts, can run here. Without root, prints that the test is
/// skipped.
///
/// # Panics
/// Without root if `CI` is set: there, a skipped test would count as passed.
#[must_use]
pub fn has_root() -> bool {
    if Uid::effective().is_root() {
        return true;
    }
    skipped("it needs root, to make namespaces, mount a disk or run a Kubernetes node");
    false
}

/// Whether a program is installed. `version` is the argument that prints its version. Without the program, prints that
/// the test is skipped.
///
/// # Panics
/// Without the program if `CI` is set.
pub fn has_program(program: &str, version: &str, package: &str) -> Result<bool> {
    let mut version_command = command(program, [version]);
    version_command.env("PATH", Config::from_environment().path());
    match version_command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) => {
            ensure!(status.success(), "{version_command:?} ended with {status}");
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skipped(&format!("{program} is not installed (Debian package {package})"));
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| program.to_owned()),
    }
}

fn skipped(reason: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(!Config::from_environment().is_ci(), "{test} must not be skipped under CI: {reason}");
    // Written to standard error directly, because the test runner hides the output of passed tests.
    let _ = writeln!(stderr(), "skipped: {test}: {reason}");
}
