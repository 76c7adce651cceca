//! One core for the server, another for the load: neither can take the other's time.

use std::{fs, time::Duration};

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

/// How long the server's core has been busy, with whatever, since the machine was started.
pub(crate) fn busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    busy_of(&text, SERVER).with_context(|| format!("/proc/stat says nothing of core {SERVER}"))
}

/// All of a core's times but the fourth and fifth, idle and waiting for disks; in hundredths of a second (proc(5)). The last
/// two are counted in the first two already.
fn busy_of(stat: &str, core: usize) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
    let times: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let busy: u64 = times
        .iter()
        .take(8)
        .enumerate()
        .filter(|(place, _)| ![3, 4].contains(place))
        .map(|(_, time)| time)
        .sum();
    Some(Duration::from_millis(busy * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_busy_with_all_but_idling_and_waiting_for_disks() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 3 5000 700 1 2 4 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_of(stat, 0), Some(Duration::from_millis(1300)));
        assert_eq!(busy_of(stat, 2), None);
    }
}
