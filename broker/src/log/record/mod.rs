//! The records of a log, in the encoding that all logs share: `docs/disk-format.md` lists the fields of each kind.
//!
//! An unknown kind is an error, because a newer version wrote it, and ignoring it could change the meaning of the log.
//! So are an unknown flag and bytes after the last field. Therefore a later version can only add new kinds.
//!
//! A message has a checksum of its own, so that damage is found when the message is read alone, years after it was
//! written and without the frame around it. A message whose flags deny the checksum is damaged.

mod decode;
mod encode;
mod head;
mod ids;
#[cfg(test)]
mod sample;
mod targets;

pub use head::{RecordExtent, RecordHead, checksum_as_written, is_whole};
pub use ids::{ChannelId, MovedFrom, ParcelId, ParcelNumber};
#[cfg(test)]
pub use sample::EncodedTarget;
pub use targets::{Target, Targets};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// A message was leased, or its lease was renewed.
    Lease {
        channel: ChannelId,
        sequence: u64,
        /// The number of this lease of the message.
        delivery: u32,
        /// How many leases before this one do not count as deliveries.
        uncounted: u32,
        /// The start of the broker that leased the message.
        start: u64,
        ends_ms: u64,
    },
    /// A message left its channel.
    Removed { channel: ChannelId, sequence: u64, cause: RemovalCause },
    /// All targets of a parcel have it on disk.
    ParcelDelivered { parcel: ParcelId },
    /// Every parcel of a shard with a lower number is delivered.
    ParcelFloor { shard: u32, floor: ParcelNumber },
    /// A message was stored in one channel or several, or moved from one to another.
    Message {
        /// At least one channel.
        targets: Targets<'a>,
        /// The record is also a parcel, for the targets to come.
        parcel: Option<ParcelId>,
        message_id: u128,
        enqueued_ms: u64,
        idempotency: Option<Idempotency>,
        /// The earliest time of delivery.
        due_ms: Option<u64>,
        /// The message group; at most 255 bytes.
        group: Option<&'a str>,
        moved_from: Option<MovedFrom>,
        /// The kept headers, encoded by the owner of the log.
        headers: &'a [u8],
        body: &'a [u8],
    },
    /// The whole changeable state of a message.
    State {
        channel: ChannelId,
        sequence: u64,
        /// The number of the last lease.
        delivery: u32,
        /// How many leases do not count as deliveries.
        uncounted: u32,
        /// The start of the broker that leased the message last.
        start: u64,
        /// When the message expires.
        expires_ms: Option<u64>,
        phase: RecordedPhase<'a>,
    },
    /// An idempotency key whose message is no longer in the log.
    Key {
        channel: ChannelId,
        idempotency: Idempotency,
        /// The id in the answer to the first push.
        message_id: u128,
    },
    /// Names the channel of an id, so that the log knows its channels if the address store is lost.
    Channel {
        channel: ChannelId,
        uid: u128,
        /// The sequence of the channel's next message; 0 if its owner is another shard.
        next_sequence: u64,
        /// At most 255 bytes, like the name.
        namespace: &'a str,
        name: &'a str,
    },
    /// A channel was deleted: all messages and keys of its id are void, wherever they are in the log.
    ChannelClosed { channel: ChannelId, uid: u128 },
    /// The time at which the next run continues.
    Clock {
        /// The broker's own time.
        own_ms: u64,
        /// The wall clock; 0 if it was never set.
        wall_ms: u64,
        /// The latest time that a wall clock has shown so far; 0 if it was never set.
        latest_ms: u64,
        /// The boot of the machine; 0 if it is unknown.
        boot_id: u128,
        /// Nanoseconds since that boot.
        boot_ns: u64,
    },
}

impl Record<'_> {
    /// The record's idempotency key, its channel, which is the first of several, and the id in the answer to its push.
    pub fn key(&self) -> Option<(ChannelId, Idempotency, u128)> {
        match *self {
            Self::Key { channel, idempotency, message_id } => Some((channel, idempotency, message_id)),
            Self::Message { targets, idempotency, message_id, .. } => {
                Some((targets.first().channel, idempotency?, message_id))
            }
            Self::Lease { .. }
            | Self::Removed { .. }
            | Self::ParcelDelivered { .. }
            | Self::ParcelFloor { .. }
            | Self::State { .. }
            | Self::Channel { .. }
            | Self::ChannelClosed { .. }
            | Self::Clock { .. } => None,
        }
    }
}

/// The phase of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedPhase<'a> {
    Ready(Ended),
    Delayed {
        /// When the message becomes ready.
        until_ms: u64,
        /// How its last lease ended.
        ended: Ended,
    },
    Leased {
        ends_ms: u64,
    },
    /// The message is a dead letter.
    Dead {
        since_ms: u64,
        /// A number of the owner's.
        cause: u8,
        /// The receiver's text.
        reason: &'a str,
    },
}

/// Why a message left its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalCause {
    Settled,
    /// Its time to live ended.
    Expired,
    /// It made room for a newer one.
    Dropped,
    Purged,
    /// It is in another channel.
    Moved,
}

/// How a message's last lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The message was never leased.
    Never,
    /// The receiver released the message.
    Released,
    Expired,
}

/// An idempotency key, by which a repeated push is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// 128 bits of a hash of the key in its scope.
    pub hash: u128,
    /// 128 bits of a hash of the push, to recognise another push with the same key.
    pub fingerprint: u128,
    /// When the key is forgotten.
    pub expires_ms: u64,
}

/// Why bytes are not a valid record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a record of kind {0} is unknown to this version; run the newer version that wrote it")]
    UnknownKind(u8),
    /// A flag or number that this version does not know.
    #[error(
        "a record of kind {kind} has the flag {flag}, which is unknown to this version; run the newer version that wrote it"
    )]
    UnknownFlag { kind: u8, flag: u8 },
    /// A record with bytes after its last field.
    #[error(
        "a record of kind {kind} has {bytes} bytes after its last field; run the newer version that wrote it"
    )]
    TooLong { kind: u8, bytes: usize },
    #[error("a record of kind {0} has a text that is not valid UTF-8")]
    NoText(u8),
    #[error("a record of a message has no checksum and is therefore damaged")]
    NoChecksum,
    /// The record ends before its last field.
    #[error("a record ends early")]
    Truncated,
}

// 0 is no kind, because it is what unwritten bytes look like.
const MESSAGE: u8 = 1;
const LEASE: u8 = 2;
const STATE: u8 = 3;
const REMOVED: u8 = 4;
const KEY: u8 = 5;
const CHANNEL: u8 = 6;
const CHANNEL_CLOSED: u8 = 7;
const CLOCK: u8 = 8;
const PARCEL_DELIVERED: u8 = 9;
const PARCEL_FLOOR: u8 = 10;

/// Flags of a message's record: the optional fields that it contains.
mod flag {
    pub(super) const KEY: u8 = 1;
    pub(super) const DUE: u8 = 2;
    pub(super) const GROUP: u8 = 4;
    pub(super) const PARCEL: u8 = 8;
    pub(super) const MOVED: u8 = 16;
    pub(super) const COPY: u8 = 32;
    pub(super) const CHECKSUM: u8 = 64;
    pub(super) const ALL: u8 = KEY | DUE | GROUP | PARCEL | MOVED | COPY | CHECKSUM;
}

/// Phase numbers in a state's record.
mod phase {
    pub(super) const READY: u8 = 0;
    pub(super) const DELAYED: u8 = 1;
    pub(super) const LEASED: u8 = 2;
    pub(super) const DEAD: u8 = 3;
}

#[cfg(test)]
mod tests;
