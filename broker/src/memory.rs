//! How much memory the process may have, so that what its limits grant all together fits in it.

use std::fs;

use bytesize::ByteSize;

/// Where the limit of a container's control group is: of version 2, and of version 1.
const CONTAINER_FILES: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Which group of version 2 the process is in, as `0::/path` (cgroups(7)): without a container, that of its service.
const GROUP_FILE: &str = "/proc/self/cgroup";
/// What there is of the machine (proc(5)).
const MACHINE_FILE: &str = "/proc/meminfo";

/// What each purse gets of it: three of them, the idempotency keys and the connections are five; three are for all else.
const PART: u64 = 8;
/// What each gets at most, however much there is.
const PURSE_MAX: ByteSize = ByteSize::mib(256);
/// And at least: two of the largest messages.
const PURSE_MIN: ByteSize = ByteSize::mib(32);
/// Bytes that an idempotency key takes; see `docs/limits.md`.
const KEY_BYTES: u64 = 35;
/// Keys that are remembered at most, however much memory there is.
const KEYS_MAX: u64 = 8_000_000;

/// The memory that the process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(u64);

impl Memory {
    /// As the system says; as much as there can be if it says nothing.
    pub fn of_this_process() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let group = read(GROUP_FILE).and_then(|groups| {
            let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end().to_owned();
            Some(format!("/sys/fs/cgroup{path}/memory.max"))
        });
        let files = CONTAINER_FILES.into_iter().map(str::to_owned).chain(group);
        Self::told(files.filter_map(|path| read(&path)), read(MACHINE_FILE).as_deref())
    }

    fn told(groups: impl Iterator<Item = String>, machine: Option<&str>) -> Self {
        // A group without a limit says "max", which is no number, or a number larger than any memory.
        let groups = groups.filter_map(|limit| limit.trim().parse().ok());
        Self(groups.chain(machine.and_then(total)).min().unwrap_or(u64::MAX))
    }

    /// The memory of request bodies, of answers, or of contents that are kept.
    pub fn purse(self) -> ByteSize {
        // In whole mebibytes, so that it is printed as it is.
        ByteSize::mib((self.0 / PART) >> 20).clamp(PURSE_MIN, PURSE_MAX)
    }

    /// Idempotency keys that fit.
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
        Memory::told(groups.iter().map(|text| (*text).to_owned()), machine).0
    }

    #[test]
    fn the_memory_is_the_groups_limit_or_the_machines() {
        assert_eq!(memory(&["1073741824\n"], Some(MACHINE)), 1 << 30);
        assert_eq!(memory(&["max\n"], Some(MACHINE)), 24_000_000 << 10);
        assert_eq!(memory(&["9223372036854771712\n"], Some(MACHINE)), 24_000_000 << 10);
        assert_eq!(memory(&[], None), u64::MAX);
        assert_eq!(memory(&["nonsense"], Some("nonsense")), u64::MAX);
    }

    #[test]
    fn what_the_limits_grant_is_half_of_a_container_at_most() {
        for mebibytes in [256, 512, 1024, 4096] {
            let memory = Memory(mebibytes << 20);
            let granted = 3 * memory.purse().as_u64() + memory.keys() as u64 * KEY_BYTES;
            assert!(granted <= memory.0 / 2, "{mebibytes} MiB");
        }
    }

    #[test]
    fn much_memory_is_not_taken_because_it_is_there() {
        let memory = Memory(64 << 30);
        assert_eq!((memory.purse(), memory.keys()), (PURSE_MAX, 8_000_000));
    }
}
