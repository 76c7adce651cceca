//! Bounds of the other fields of a channel's configuration. The schema of the custom resource has the same bounds; a
//! test of `crds` compares them.

/// The default deduplication window, in seconds: longer than any sender should retry a push, and short enough that the
/// keys of a busy channel fit in memory.
pub const DEDUPLICATION_WINDOW_SECONDS: u32 = 300;
/// The maximum deduplication window, in seconds: a week.
pub const DEDUPLICATION_WINDOW_SECONDS_MAX: u32 = 604_800;
/// The maximum number of destinations of one channel.
pub const DESTINATIONS_MAX: usize = 16;
/// The maximum number of channels that share one destination: each message is stored in all of them or in none.
pub const SHARED_DESTINATION_CHANNELS_MAX: usize = 32;
/// The maximum number of entries in a channel's `keepHeaders`: more than any sender of webhooks needs.
pub const KEEP_HEADERS_MAX: usize = 16;
/// The maximum length of an entry in `keepHeaders`, in bytes: the longest registered header name has 45.
pub const KEEP_HEADER_BYTES_MAX: usize = 64;
/// The maximum length of a channel's namespace and of its name, in bytes: one DNS label (RFC 1123 section 2.1).
pub const NAME_BYTES_MAX: usize = 63;
