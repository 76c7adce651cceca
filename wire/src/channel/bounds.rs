//! The bounds of a channel's configuration. The custom resource's schema has the same, and a test of `crds` says so.

/// The longest `wait` that a channel may allow, in seconds.
pub const WAIT_SECONDS_MAX: u32 = 300;
/// The longest lease that a channel may allow, in seconds: half a day.
pub const LEASE_SECONDS_MAX: u32 = 43_200;
/// The most hand-outs of a message before it is a dead letter.
pub const DELIVERIES_MAX: u32 = 1000;
/// The longest back-off, in seconds: half a day, as the longest lease.
pub const BACKOFF_SECONDS_MAX: u32 = 43_200;
/// The largest message that a channel may allow, in bytes: 16 MiB.
pub const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The most messages that a channel may hold.
pub const MESSAGES_MAX: u64 = 100_000_000;
/// The longest time that a message may be kept, in seconds: a year.
pub const TTL_SECONDS_MAX: u32 = 31_536_000;
/// The longest delay of a message, in seconds: a year, as its longest life.
pub const DELAY_SECONDS_MAX: u32 = TTL_SECONDS_MAX;
/// The highest rate of pushes that can be set, a second: far beyond what one core takes.
pub const PUSHES_PER_SECOND_MAX: u32 = 1_000_000;
/// The longest deduplication window, in seconds: a week.
pub const DEDUPLICATION_WINDOW_SECONDS_MAX: u32 = 604_800;
/// The most destinations of one channel.
pub const DESTINATIONS_MAX: usize = 16;
/// The most channels of one shared destination: each message is stored in all of them or in none.
pub const SHARED_DESTINATION_CHANNELS_MAX: usize = 32;
/// The most request headers, or beginnings of such, that a channel keeps besides the standard ones: more than any sender of
/// webhooks has.
pub const KEEP_HEADERS_MAX: usize = 16;
/// The longest of them, in bytes: the longest header name that is registered has 45.
pub const KEEP_HEADER_BYTES_MAX: usize = 64;
/// The longest namespace and the longest name of a channel, in bytes: one DNS label (RFC 1123 section 2.1).
pub const NAME_BYTES_MAX: usize = 63;
