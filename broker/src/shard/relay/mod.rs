//! The relay: messages for channels of other shards. These are messages to channels of several shards, and dead letters
//! whose dead-letter channel belongs to another shard.
//!
//! The first shard stores such a message for its own channels, and as a *parcel* with the other channels as targets to
//! come. The sync of that record is the decision: before it, another log could have on disk what this one has lost.
//! Then every other shard gets the record, and stores the message for its channels by a record of its own. That record
//! names the parcel, so that it is stored once, however many times it is sent. When all of these records are on disk,
//! the parcel is removed. A start continues with the parcels that it finds.
//!
//! A parcel's number is (epoch, count). Each start has a higher epoch than any that a log knows, so no number is
//! assigned twice, even if a power cut takes the newest parcels. The *floor* of a shard is the lowest number of a parcel
//! whose removal is not committed. Each parcel carries the floor of its shard. A receiver remembers which parcels it has
//! from the floor on, and refuses to store any below it.

mod in_relay;
mod incoming;
pub(crate) mod outgoing;
pub(crate) mod receive;

pub(crate) use in_relay::InRelay;
pub(super) use incoming::IncomingParcels;
pub(crate) use incoming::residual_records;
#[cfg(test)]
pub(super) use outgoing::PARCELS_MAX;
pub(super) use outgoing::{LeftParcel, OutgoingParcels};
