//! The bounds of a channel's configuration. The schema of the custom resource has the same bounds; a test of `crds`
//! compares them.

/// The maximum of a channel's `maxWaitSeconds`.
pub const WAIT_SECONDS_MAX: u32 = 300;
/// The maximum of a channel's `maxLeaseSeconds`: half a day.
pub const LEASE_SECONDS_MAX: u32 = 43_200;
/// The maximum of a channel's `maxDeliveries`.
pub const DELIVERIES_MAX: u32 = 1000;
/// The maximum back-off, in seconds: half a day, like the longest lease.
pub const BACKOFF_SECONDS_MAX: u32 = 43_200;
/// The maximum of a channel's `limits.messageBytes`: 16 MiB.
pub const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The maximum of a channel's `limits.messages`.
pub const MESSAGES_MAX: u64 = 100_000_000;
/// The maximum time to live of a message, in seconds: a year.
pub const TTL_SECONDS_MAX: u32 = 31_536_000;
/// The maximum delay of a message, in seconds: a year, like its maximum time to live.
pub const DELAY_SECONDS_MAX: u32 = TTL_SECONDS_MAX;
/// The maximum of a channel's `limits.pushesPerSecond`: far more than one worker can process.
pub const PUSHES_PER_SECOND_MAX: u32 = 1_000_000;
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
