//! What a test needs beyond cargo, and what happens where it is missing: it says so and is skipped, but never in
//! continuous integration.

use std::{
    io::{Write, stderr},
    thread,
};

use nix::unistd::Uid;

use crate::config::Config;

/// Whether a test that needs namespaces or mounts, and so root, can run here. Without root it says that it is skipped.
///
/// # Panics
/// Without root where `CI` is set: there a skipped test would pass for a passed one.
#[must_use]
pub fn has_root() -> bool {
    if Uid::effective().is_root() {
        return true;
    }
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let reason = "it makes namespaces, mounts a disk or runs a Kubernetes node, and needs root for that";
    assert!(!Config::from_environment().is_ci(), "{test} may not be skipped under CI: {reason}");
    // Past the test runner, which keeps the words of tests that pass to itself.
    let _ = writeln!(stderr(), "skipped: {test}: {reason}");
    false
}
