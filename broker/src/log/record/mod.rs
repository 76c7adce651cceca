//! The records of a log, byte by byte: shared by every kind of log.
//!
//! A record is a `u32` length of what follows, one kind byte, and the kind's fields in the order below; all numbers are
//! little-endian. A kind that this version does not know is an error, because a newer version wrote it and meant
//! something by it; so are a flag that it does not know, and bytes after the last field. What a later version adds is
//! therefore a new kind.
//!
//! A message has a checksum of its own, so that damage is found when one is read by itself, years after it was written and
//! without the frame or group that it was written with. One that says it has none was not written so.
//!
//! | kind | fields |
//! |---|---|
//! | 1 push, of 0.1.0 | channel `u32`, sequence `u64`, message id `u128`, enqueued ms `u64`, flags `u8` (1: a key follows), [key hash `u128`, key expires ms `u64`], headers length `u32`, headers, body to the end |
//! | 2 lease | channel `u32`, sequence `u64`, delivery `u32`, uncounted `u32`, start `u64`, ends ms `u64` |
//! | 3 release, of 0.1.0 | channel `u32`, sequence `u64`, delivery `u32`, counted `u8` |
//! | 4 settle | channel `u32`, sequence `u64` |
//! | 5 idempotency key, of 0.1.0 | channel `u32`, key hash `u128`, message id `u128`, sequence `u64`, expires ms `u64` |
//! | 6 message | targets `u8`, each: [channel `u32`, sequence `u64`, expires ms `u64`, 0 for never]; message id `u128`, enqueued ms `u64`, flags `u8`, [1: key hash `u128`, fingerprint `u128`, key expires ms `u64`], [2: due ms `u64`], [4: group length `u8`, group], [8: moved from channel `u32`, sequence `u64`], [16: crc32c `u32` over the rest of the record], headers length `u32`, headers, body to the end |
//! | 7 state | channel `u32`, sequence `u64`, handout `u32`, uncounted `u32`, start `u64`, expires ms `u64`, phase `u8` (0 ready, 1 delayed, 2 leased, 3 dead), last lease ended `u8` (0 none, 1 released, 2 expired), at ms `u64`, cause `u8`, reason to the end |
//! | 8 key | key hash `u128`, fingerprint `u128`, message id `u128`, expires ms `u64` |
//! | 9 key of a channel | channel `u32`, then as 8 |
//! | 10 channel | channel `u32`, UID `u128`, namespace length `u8`, namespace, name length `u8`, name |
//! | 11 channel closed | channel `u32`, UID `u128` |
//! | 12 clock | broker's time ms `u64`, wall clock ms `u64`, its latest ms `u64` (both 0 when it was never set), boot id `u128`, nanoseconds since that boot `u64` |
//!
//! Times are the broker's own, which runs on from run to run and began as milliseconds since 1970.

mod decode;
mod encode;
mod head;
mod targets;

pub use head::{RecordExtent, RecordHead, checksum_as_written, is_whole};
pub use targets::{Target, Targets};

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// A message was stored, as 0.1.0 wrote it.
    Push {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
        /// Its id.
        message_id: u128,
        /// When it was stored.
        enqueued_ms: u64,
        /// The key under which a repeat is recognised; without a fingerprint.
        idempotency: Option<Idempotency>,
        /// Its kept headers, encoded by the owner of the log.
        headers: &'a [u8],
        /// Its content.
        body: &'a [u8],
    },
    /// A message was handed out, or its lease was renewed.
    Lease {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
        /// Which hand-out this is.
        delivery: u32,
        /// How many hand-outs before this one do not count as deliveries.
        uncounted: u32,
        /// Which start of the broker handed it out.
        start: u64,
        /// When the lease ends.
        ends_ms: u64,
    },
    /// A message was given back, as 0.1.0 wrote it.
    Release {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
        /// The hand-out that ended.
        delivery: u32,
        /// Whether that hand-out counts as a delivery.
        counted: bool,
    },
    /// A message has left its channel.
    Settle {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
    },
    /// A key whose message is gone from the log, as 0.1.0 wrote it.
    IdempotencyKey {
        /// The number of the message's channel.
        channel: u32,
        /// The key.
        hash: u128,
        /// The id that its first push was answered with.
        message_id: u128,
        /// The message's place in the channel.
        sequence: u64,
        /// When the key is forgotten.
        expires_ms: u64,
    },
    /// A message was stored in one channel or in several, or moved from one to another.
    Message {
        /// Its channels, at least one.
        targets: Targets<'a>,
        /// Its id.
        message_id: u128,
        /// When it was stored.
        enqueued_ms: u64,
        /// The key under which a repeat is recognised.
        idempotency: Option<Idempotency>,
        /// When it is handed out at the earliest.
        due_ms: Option<u64>,
        /// The group that it belongs to; at most 255 bytes.
        group: Option<&'a str>,
        /// The channel and the place in it that it left by this very record.
        moved_from: Option<(u32, u64)>,
        /// Its kept headers, encoded by the owner of the log.
        headers: &'a [u8],
        /// Its content.
        body: &'a [u8],
    },
    /// Everything about a message that changes.
    State {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
        /// The last hand-out.
        delivery: u32,
        /// How many hand-outs do not count as deliveries.
        uncounted: u32,
        /// Which start of the broker handed it out.
        start: u64,
        /// When the message's time is over.
        expires_ms: Option<u64>,
        /// Who has it.
        phase: RecordedPhase<'a>,
    },
    /// A key whose message is gone from the log.
    Key {
        /// The key.
        idempotency: Idempotency,
        /// The id that its first push was answered with.
        message_id: u128,
    },
    /// The same, and whose it is.
    ChannelKey {
        /// The number of the channel that it belongs to.
        channel: u32,
        /// The key.
        idempotency: Idempotency,
        /// The id that its first push was answered with.
        message_id: u128,
    },
    /// Whose records have a number: so that a log knows its channels when the address store is lost.
    Channel {
        /// The number.
        channel: u32,
        /// The channel's UID.
        uid: u128,
        /// Its namespace; at most 255 bytes, as its name.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A channel was deleted for ever: no message and no key of its number counts, wherever in the log it lies.
    ChannelClosed {
        /// The number of the channel.
        channel: u32,
        /// Its UID.
        uid: u128,
    },
    /// The time: where the next run goes on.
    Clock {
        /// The broker's.
        own_ms: u64,
        /// The wall clock's; 0 when it was never seen set.
        wall_ms: u64,
        /// The latest that a wall clock has run, at this moment; 0 with the other.
        latest_ms: u64,
        /// Which boot of which machine; 0 when it is not known.
        boot_id: u128,
        /// Nanoseconds since that boot.
        boot_ns: u64,
    },
}

impl Record<'_> {
    /// The idempotency key that the record has, and the id that its push was answered with.
    pub fn key(&self) -> Option<(Idempotency, u128)> {
        match *self {
            Self::Push { idempotency, message_id, .. } | Self::Message { idempotency, message_id, .. } => {
                idempotency.map(|key| (key, message_id))
            }
            Self::IdempotencyKey { hash, message_id, expires_ms, .. } => {
                Some((Idempotency { hash, fingerprint: 0, expires_ms }, message_id))
            }
            Self::Key { idempotency, message_id } | Self::ChannelKey { idempotency, message_id, .. } => {
                Some((idempotency, message_id))
            }
            Self::Lease { .. }
            | Self::Release { .. }
            | Self::Settle { .. }
            | Self::State { .. }
            | Self::Channel { .. }
            | Self::ChannelClosed { .. }
            | Self::Clock { .. } => None,
        }
    }

    /// The number of the channel that the key belongs to: of several, the first. It was not always written down.
    pub fn key_channel(&self) -> Option<u32> {
        match *self {
            Self::Push { channel, .. }
            | Self::IdempotencyKey { channel, .. }
            | Self::ChannelKey { channel, .. } => Some(channel),
            Self::Message { targets, .. } => targets.iter().next().map(|target| target.channel),
            Self::Key { .. }
            | Self::Lease { .. }
            | Self::Release { .. }
            | Self::Settle { .. }
            | Self::State { .. }
            | Self::Channel { .. }
            | Self::ChannelClosed { .. }
            | Self::Clock { .. } => None,
        }
    }
}

/// Who has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedPhase<'a> {
    /// Nobody.
    Ready(Ended),
    /// Nobody, until its time has come.
    Delayed {
        /// When that is.
        until_ms: u64,
        /// How its last lease ended.
        ended: Ended,
    },
    /// A receiver.
    Leased {
        /// Until when.
        ends_ms: u64,
    },
    /// Nobody: it was given up.
    Dead {
        /// When.
        since_ms: u64,
        /// Why: the owner of the log knows the numbers.
        cause: u8,
        /// What was said of it.
        reason: &'a str,
    },
}

/// How a message's last lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It never had one.
    Never,
    /// Its holder gave the message back.
    Released,
    /// Its time was over.
    Expired,
}

/// A key under which a push is recognised when it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// 128 bits of a hash of the key in its scope.
    pub hash: u128,
    /// 128 bits of a hash of what was pushed; 0 when it was pushed to 0.1.0, which did not look.
    pub fingerprint: u128,
    /// When the key is forgotten.
    pub expires_ms: u64,
}

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A kind that this version does not know.
    #[error("a record of kind {0} is unknown to this version: a newer one wrote it, so run that")]
    UnknownKind(u8),
    /// A flag or number that this version does not know.
    #[error(
        "a record of kind {kind} has a flag {flag}, which is unknown to this version: a newer one wrote it, so run that"
    )]
    UnknownFlag {
        /// The record's kind.
        kind: u8,
        /// The flag.
        flag: u8,
    },
    /// A record that goes on after its last field.
    #[error(
        "a record of kind {kind} goes on after its last field for {bytes} bytes: a newer version wrote it, so run that"
    )]
    TooLong {
        /// The record's kind.
        kind: u8,
        /// Bytes that are too many.
        bytes: usize,
    },
    /// A text that is none.
    #[error("a record of kind {0} has a text that is no UTF-8")]
    NoText(u8),
    /// A message without a checksum of its own.
    #[error("a record of a message has no checksum, and so is not as it was written")]
    NoChecksum,
    /// A record that ends in the middle of a field.
    #[error("a record ends early")]
    Truncated,
}

const PUSH: u8 = 1;
const LEASE: u8 = 2;
const RELEASE: u8 = 3;
const SETTLE: u8 = 4;
const IDEMPOTENCY_KEY: u8 = 5;
const MESSAGE: u8 = 6;
const STATE: u8 = 7;
const KEY: u8 = 8;
const CHANNEL_KEY: u8 = 9;
const CHANNEL: u8 = 10;
const CHANNEL_CLOSED: u8 = 11;
const CLOCK: u8 = 12;

/// What follows in a message's record.
mod flag {
    pub(super) const KEY: u8 = 1;
    pub(super) const DUE: u8 = 2;
    pub(super) const GROUP: u8 = 4;
    pub(super) const MOVED: u8 = 8;
    pub(super) const CHECKSUM: u8 = 16;
    pub(super) const ALL: u8 = KEY | DUE | GROUP | MOVED | CHECKSUM;
}

/// A message's phase in its state's record.
mod phase {
    pub(super) const READY: u8 = 0;
    pub(super) const DELAYED: u8 = 1;
    pub(super) const LEASED: u8 = 2;
    pub(super) const DEAD: u8 = 3;
}

#[cfg(test)]
mod tests;
