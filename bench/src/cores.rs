//! CPU cores: one for the server and another for the load, so that neither takes time from the other.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};

/// Core of the server, for `taskset`.
pub(crate) const SERVER: usize = 0;
/// Core of the load: this process.
const LOAD: usize = 1;

/// Moves this process to its core, and raises its limit of file descriptors, which children inherit, to the maximum.
pub(crate) fn prepare() -> Result<()> {
    let mut cores = sched_getaffinity(Pid::from_raw(0))?;
    let both = cores.is_set(SERVER)? && cores.is_set(LOAD)?;
    ensure!(
        both,
        "cores {SERVER} and {LOAD} are not both available; the benchmark needs one for the server and one for the load"
    );
    cores = CpuSet::new();
    cores.set(LOAD)?;
    sched_setaffinity(Pid::from_raw(0), &cores).context("cannot move this process to its core")?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}

/// Time that the server's core was busy with any process since the machine started.
pub(crate) fn busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    busy_of(&text, SERVER).with_context(|| format!("/proc/stat has no line for core {SERVER}"))
}

/// Sum of a core's times, in hundredths of a second (proc(5)), without the fourth and fifth, idle and waiting for
/// disks. The last two are already included in the first two.
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
    fn idle_time_and_waiting_for_disks_do_not_count_as_busy() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 3 5000 700 1 2 4 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_of(stat, 0), Some(Duration::from_millis(1300)));
        assert_eq!(busy_of(stat, 2), None);
    }
}
