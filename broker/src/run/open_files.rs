//! The system's limit of open files, and the connections that it allows.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::ports::PLACES;

/// Open files besides client connections: the log's segments, the address store, listeners, the runtime, and the
/// connections of the admin and control ports.
const RESERVED_FILES: usize = 200 + 2 * PLACES;

/// Raises the limit of open files to the maximum that the system allows. Returns how many of `connections_max`
/// connections fit, leaving enough files for the log, the operator and probes.
pub(crate) fn places(connections_max: usize) -> usize {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limits) {
        tracing::warn!(%error, "failed to raise the limit of open files (RLIMIT_NOFILE)");
    }
    let allowed = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files as usize);
    let places = of(connections_max, allowed);
    if places < connections_max {
        tracing::warn!(
            allowed,
            connections_max,
            places,
            "the limit of open files (RLIMIT_NOFILE) allows fewer connections than --connections-max: raise it, or lower the flag"
        );
    }
    places
}

/// Connections that fit among the `allowed` files.
fn of(connections_max: usize, allowed: usize) -> usize {
    connections_max.min(allowed.saturating_sub(RESERVED_FILES).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_log_the_operator_and_probes() {
        assert_eq!(of(16_000, 1 << 20), 16_000);
        assert_eq!(of(16_000, 1024), 1024 - RESERVED_FILES);
        assert_eq!(of(16_000, 100), 1, "at least one connection");
    }
}
