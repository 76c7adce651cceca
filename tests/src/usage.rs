//! Resource usage of a running process, from the kernel's counters.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// CPU time of all running threads of a process: the sum of the first field of each schedstat, in nanoseconds.
pub fn cpu_time(id: u32) -> Result<Duration> {
    let mut time = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{id}/task")).context("the process has ended")? {
        // A thread may end in the meantime; the threads that matter run as long as the process.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next().context("schedstat is empty")?;
        time += Duration::from_nanos(nanoseconds.parse()?);
    }
    Ok(time)
}

/// Number of times that the running threads of a process have slept and were woken.
pub fn wake_ups(id: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task")).context("the process has ended")? {
        let Ok(text) = fs::read_to_string(thread?.path().join("status")) else { continue };
        sum += field(&text, "voluntary_ctxt_switches")?;
    }
    Ok(sum)
}

/// A number from the status of a process, such as `Threads` or `VmRSS`.
pub fn status(id: u32, name: &str) -> Result<u64> {
    field(&fs::read_to_string(format!("/proc/{id}/status")).context("the process has ended")?, name)
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = line.and_then(|line| line.split_whitespace().next());
    Ok(value.with_context(|| format!("the status has no field {name}"))?.parse()?)
}
