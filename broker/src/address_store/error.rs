//! Errors of opening the store, and of changes.

use std::{fmt, io, path::PathBuf};

use restante_wire::channel::{ConfigError, Durability};
use uuid::Uuid;

use super::{CHANNELS_AND_ORPHANS_MAX, CHANNELS_MAX};

const _: () =
    assert!(restante_wire::channel::SHARED_DESTINATION_CHANNELS_MAX == 32, "advice() contains this number");

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Bytes that were synced have changed.
    #[error(
        "{path} is damaged at byte {offset}: {reason}; nothing was changed; \
         restante-broker check {folder} lists all damage; restore creates a new folder from a backup, and salvage from \
         everything readable",
        path = path.display(),
        folder = path.ancestors().nth(2).unwrap_or(path).display()
    )]
    Damaged {
        path: PathBuf,
        /// Where the first unusable entry starts.
        offset: u64,
        reason: String,
    },
    /// The two files come from different points in time.
    #[error(
        "{path} is missing or older than the file beside it: {reason}; restore the whole data folder from one backup",
        path = path.display()
    )]
    Incomplete { path: PathBuf, reason: String },
    #[error(
        "{path} has format {found}, and this broker reads up to {supported}; start the version that wrote it, or a later one",
        path = path.display()
    )]
    Newer { path: PathBuf, found: u32, supported: u32 },
}

/// Why a change was refused. No part of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error(
        "channel {channel} has the UID {uid} of a deleted channel; leave it out, or create it again under a new UID"
    )]
    Deleted {
        uid: Uuid,
        /// `namespace/name` of the channel with this UID.
        channel: String,
    },
    /// Messages that were stored durably must not become volatile by a change of configuration, nor the other way
    /// round.
    #[error(
        "the durability of channel {channel} cannot change from {is} to {wanted}; keep it, or delete the channel with \
         its messages and create it again",
        is = is.as_str(),
        wanted = wanted.as_str()
    )]
    Durability { uid: Uuid, channel: String, is: Durability, wanted: Durability },
    #[error("{0} channels exceed the broker's limit of {CHANNELS_MAX}; use a second MessageBroker")]
    TooMany(usize),
    #[error(
        "{0} channels and orphans exceed the broker's limit of {CHANNELS_AND_ORPHANS_MAX}; delete unneeded orphans"
    )]
    TooManyOrphans(usize),
    #[error(
        "channel {channel} has the same id, a hash of its UID, as another channel; delete it and create it again"
    )]
    IdTaken { uid: Uuid, channel: String },
    #[error(
        "the broker's disk is full: there is no room for the change ({0}); enlarge the volume, or run the broker without \
         the change until messages were received"
    )]
    Full(io::Error),
    /// The disk stored nothing of the change.
    #[error("cannot write the change to {}: {source}", file.display())]
    NotWritten { file: PathBuf, source: io::Error },
    /// The disk failed during this change or an earlier one. Only a restart can find out what is stored.
    #[error(
        "the disk failed during a change of the address store; restart the broker, which then decides what was stored"
    )]
    Failed,
}

impl ApplyError {
    /// The UID of the channel without which the change may be accepted.
    pub fn channel(&self) -> Option<Uuid> {
        match self {
            Self::Invalid(ConfigError { uid, .. })
            | Self::Deleted { uid, .. }
            | Self::Durability { uid, .. }
            | Self::IdTaken { uid, .. } => Some(*uid),
            // A conflict has two channels, and the others have none.
            Self::Conflict(_)
            | Self::TooMany(_)
            | Self::TooManyOrphans(_)
            | Self::Full(_)
            | Self::NotWritten { .. }
            | Self::Failed => None,
        }
    }
}

/// Something that only one channel can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Uid,
    /// Namespace and name.
    Name,
    /// A destination that not all of its channels share.
    Destination,
    /// A destination with the maximum number of channels.
    FullDestination,
    Source,
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Uid => "UID",
            Self::Name => "name",
            Self::Destination => "destination",
            Self::FullDestination => "destination",
            Self::Source => "source",
        })
    }
}

impl Claim {
    fn advice(self) -> &'static str {
        match self {
            Self::Uid | Self::Name | Self::Source => "change one of them",
            Self::Destination => "change one of them, or set sharedDestination: true in all of them",
            Self::FullDestination => {
                "at most 32 channels can share a destination, so remove it from one of them"
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channels {first} and {second} both claim the {claim} {value}; {}", claim.advice())]
pub struct Conflict {
    pub claim: Claim,
    /// The value that both claim.
    pub value: String,
    /// One channel: its `namespace/name`, with its UID if both have the same name.
    pub first: String,
    pub second: String,
}
