//! Names of a run's objects in the kernel and in the temporary folder. They are unique to the process, so that two runs
//! never collide, and contain their owner, so that the next run removes the leftovers of a killed one.

use std::{fmt, fs, process};

/// Prefix of all names.
const PREFIX: &str = "restante";

/// The process that owns an object. Its start time distinguishes it from a later process with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunName {
    pid: u32,
    started_ticks: u64,
}

impl RunName {
    /// The name of this process.
    ///
    /// # Panics
    /// Without `/proc`.
    pub fn of_this_process() -> Self {
        let pid = process::id();
        let started_ticks = started_ticks(pid).expect("a running process has a readable /proc/<pid>/stat");
        Self { pid, started_ticks }
    }

    /// A name for an object of this run.
    pub fn thing(&self, what: &str) -> String {
        format!("{self}-{what}")
    }

    /// The owner in an object's name; `None` if the name is not of a run.
    pub fn owner_of(thing: &str) -> Option<Self> {
        let mut parts = thing.strip_prefix(PREFIX)?.strip_prefix('-')?.splitn(3, '-');
        let (pid, started, _what) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { pid: pid.parse().ok()?, started_ticks: started.parse().ok()? })
    }

    /// Whether the process is still running.
    pub fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}-{}-{}", self.pid, self.started_ticks)
    }
}

/// Field 22 of `/proc/<pid>/stat` (proc(5)): the start time of the process, in clock ticks since boot.
fn started_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command's name in parentheses and may contain spaces; the third field follows the last
    // parenthesis.
    let (_, from_third) = stat.rsplit_once(')')?;
    from_third.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_contains_its_owner() {
        let run = RunName::of_this_process();
        assert_eq!(RunName::owner_of(&run.thing("client-1")), Some(run));
        assert!(run.is_alive());
    }

    #[test]
    fn other_names_have_no_owner() {
        for name in ["cni-1-2-3", "restante", "restante-system-x-y", "restante-1", "restante-1-2"] {
            assert_eq!(RunName::owner_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_later_process_with_the_same_id_is_not_the_owner() {
        let mut run = RunName::of_this_process();
        run.started_ticks += 1;
        assert!(!run.is_alive());
    }
}
