//! How many files and connections the system lets the process have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are open besides connections: the log's segments, the address store, listeners, the runtime's own.
const BESIDES: u64 = 200;

/// Raises the process's own limit to what the system allows, and says so if that is too few for the connections that may
/// come. Beyond it connections wait to be accepted: none is lost, and none is served.
pub(crate) fn raise(connections_max: usize) {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limits) {
        tracing::warn!(%error, "failed to raise the limit of open files (RLIMIT_NOFILE)");
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < connections_max as u64 + BESIDES {
        tracing::warn!(
            allowed,
            connections_max,
            "the system allows fewer open files than --connections-max needs: raise its limit (RLIMIT_NOFILE), or lower the flag"
        );
    }
}
