//! What a test needs beyond cargo, and what happens where it is missing: it says so and is skipped, but never in
//! continuous integration.

use std::{
    io::{ErrorKind, Write, stderr},
    process::Stdio,
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;

use crate::{command::command, config::Config};

/// Whether a test that needs namespaces or mounts, and so root, can run here. Without root it says that it is skipped.
///
/// # Panics
/// Without root where `CI` is set: there a skipped test would pass for a passed one.
#[must_use]
pub fn has_root() -> bool {
    if Uid::effective().is_root() {
        return true;
    }
    skipped("it makes namespaces, mounts a disk or runs a Kubernetes node, and needs root for that");
    false
}

/// Whether a program is installed, which says its version when it is given this argument. Without it, the test says that
/// it is skipped.
///
/// # Panics
/// Without the program where `CI` is set.
pub fn has_program(program: &str, version: &str, package: &str) -> Result<bool> {
    let mut asked = command(program, [version]);
    asked.env("PATH", Config::from_environment().path());
    match asked.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) => {
            ensure!(status.success(), "{asked:?} ended with {status}");
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
    assert!(!Config::from_environment().is_ci(), "{test} may not be skipped under CI: {reason}");
    // Past the test runner, which keeps the words of tests that pass to itself.
    let _ = writeln!(stderr(), "skipped: {test}: {reason}");
}
