//! One core for the server, another for the load: neither can take the other's time.

use anyhow::{Context, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};

/// The core of the server, for `taskset`.
pub(crate) const SERVER: usize = 0;
/// Our own.
const LOAD: usize = 1;

/// Moves this process to its core, and gives it and its children as many file descriptors as they may have.
pub(crate) fn prepare() -> Result<()> {
    let mut cores = sched_getaffinity(Pid::from_raw(0))?;
    let both = cores.is_set(SERVER)? && cores.is_set(LOAD)?;
    ensure!(both, "the benchmark needs cores {SERVER} and {LOAD}: one for the server, one for the load");
    cores = CpuSet::new();
    cores.set(LOAD)?;
    sched_setaffinity(Pid::from_raw(0), &cores).context("this process cannot be moved to its core")?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}
