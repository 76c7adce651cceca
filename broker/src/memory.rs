//! The memory available to the process. Default limits are derived from it, so that together they fit.

use std::fs;

use bytesize::ByteSize;

/// The memory limit of a container's control group, of version 2 and of version 1.
const CONTAINER_FILES: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// The process's control group of version 2, as `0::/path` (cgroups(7)). Outside a container, its service's group.
const GROUP_FILE: &str = "/proc/self/cgroup";
/// The memory of the machine (proc(5)).
const MACHINE_FILE: &str = "/proc/meminfo";

/// Each budget's part of the memory: three budgets, the idempotency keys and the connections make five eighths; three
/// are left for all else.
const PART: u64 = 8;
/// Maximum of a budget, however much memory there is.
const BUDGET_MAX: ByteSize = ByteSize::mib(256);
/// Minimum of a budget: two of the largest messages.
const BUDGET_MIN: ByteSize = ByteSize::mib(32);
/// Bytes per idempotency key; see `docs/limits.md`.
const KEY_BYTES: u64 = 35;
/// Maximum of remembered keys, however much memory there is.
const KEYS_MAX: u64 = 8_000_000;

/// The memory available to the process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(u64);

impl Memory {
    /// Reads it from the system; `u64::MAX` if the system does not know.
    pub fn of_this_process() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let group = read(GROUP_FILE).and_then(|groups| {
            let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end().to_owned();
            Some(format!("/sys/fs/cgroup{path}/memory.max"))
        });
        let files = CONTAINER_FILES.into_iter().map(str::to_owned).chain(group);
        Self::smallest_limit(files.filter_map(|path| read(&path)), read(MACHINE_FILE).as_deref())
    }

    fn smallest_limit(groups: impl Iterator<Item = String>, machine: Option<&str>) -> Self {
        // A group without a limit has "max", which is not a number, or a number beyond any memory.
        let groups = groups.filter_map(|limit| limit.trim().parse().ok());
        Self(groups.chain(machine.and_then(total)).min().unwrap_or(u64::MAX))
    }

    /// The budget of request bodies, of answers, or of hot bodies.
    pub fn budget(self) -> ByteSize {
        // Whole mebibytes, so that help texts print it exactly.
        ByteSize::mib((self.0 / PART) >> 20).clamp(BUDGET_MIN, BUDGET_MAX)
    }

    /// The number of idempotency keys that fit.
    pub fn keys(self) -> usize {
        (self.0 / PART / KEY_BYTES).min(KEYS_MAX) as usize
    }
}

/// `MemTotal`, which is in kibibytes.
fn total(machine: &str) -> Option<u64> {
    let line = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "MemTotal:       24000000 kB\nMemFree:  1 kB\n";

    fn memory(groups: &[&str], machine: Option<&str>) -> u64 {
        Memory::smallest_limit(groups.iter().map(|text| (*text).to_owned()), machine).0
    }

    #[test]
    fn the_smaller_of_group_limit_and_machine_memory_applies() {
        assert_eq!(memory(&["1073741824\n"], Some(MACHINE)), 1 << 30);
        assert_eq!(memory(&["max\n"], Some(MACHINE)), 24_000_000 << 10);
        assert_eq!(memory(&["9223372036854771712\n"], Some(MACHINE)), 24_000_000 << 10);
        assert_eq!(memory(&[], None), u64::MAX);
        assert_eq!(memory(&["nonsense"], Some("nonsense")), u64::MAX);
    }

    #[test]
    fn default_limits_take_at_most_half_of_a_container() {
        for mebibytes in [256, 512, 1024, 4096] {
            let memory = Memory(mebibytes << 20);
            let granted = 3 * memory.budget().as_u64() + memory.keys() as u64 * KEY_BYTES;
            assert!(granted <= memory.0 / 2, "{mebibytes} MiB");
        }
    }

    #[test]
    fn budgets_have_a_maximum_however_much_memory_there_is() {
        let memory = Memory(64 << 30);
        assert_eq!((memory.budget(), memory.keys()), (BUDGET_MAX, 8_000_000));
    }
}
