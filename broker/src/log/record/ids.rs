//! The ids by which records name channels and parcels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a channel: part of every record of its messages, and of its lease tokens. The address store assigns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub u64);

impl fmt::Display for ChannelId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// The id of a parcel, a message on its way to the log of another shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParcelId {
    /// The index of the shard whose log has the parcel.
    pub shard: u32,
    pub number: ParcelNumber,
}

/// The number of a parcel among those of its shard, never assigned twice. Later parcels have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParcelNumber {
    /// The run that assigned it: higher than any epoch that a log of the broker knew before.
    pub epoch: u64,
    /// How many parcels that run stored before this one.
    pub count: u64,
}

/// Where a message was before the record that stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovedFrom {
    /// The record moves the message out of this channel.
    Channel { channel: ChannelId, sequence: u64 },
    /// The message is a copy of this parcel.
    Parcel {
        parcel: ParcelId,
        /// Every parcel of that shard with a lower number was delivered when this one was sent.
        floor: ParcelNumber,
    },
}

impl MovedFrom {
    /// The parcel that the message is a copy of, if it is one.
    pub fn parcel(self) -> Option<ParcelId> {
        match self {
            Self::Channel { .. } => None,
            Self::Parcel { parcel, .. } => Some(parcel),
        }
    }
}
