//! Why the store cannot be opened, and why a change is refused.

use std::{fmt, io, path::PathBuf};

use restante_wire::channel::{ConfigError, Durability};
use uuid::Uuid;

use super::{CHANNELS_AND_ORPHANS_MAX, CHANNELS_MAX};

const _: () = assert!(restante_wire::channel::SHARED_DESTINATION_CHANNELS_MAX == 32, "advice() says so");

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("{action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Bytes that were once synced are not what was written.
    #[error(
        "{path} is damaged at byte {offset}: {reason}. Nothing was changed: \
         restante-broker check {folder} tells all that is damaged; restore makes a new folder from a backup, and salvage one \
         of everything that can be read",
        path = path.display(),
        folder = path.ancestors().nth(2).unwrap_or(path).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first entry that cannot be used begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// One of the two files is not of the same time as the other.
    #[error(
        "{path} is missing or older than the file beside it: {reason}. Restore the whole data folder from one backup",
        path = path.display()
    )]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What tells so.
        reason: String,
    },
    /// A later version of the broker wrote this.
    #[error(
        "{path} has format {found}, and this broker reads up to {supported}: start the version that wrote it, or a later one",
        path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
}

/// Why a change was refused. Nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A channel that cannot be obeyed.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// Two channels claim the same.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The channel was deleted.
    #[error(
        "channel {channel} has the UID {uid} of a deleted channel; leave it out, or create it again under a new UID"
    )]
    Deleted {
        /// The deleted UID.
        uid: Uuid,
        /// `namespace/name` of who claims it.
        channel: String,
    },
    /// What was stored to outlive a restart must not go with one because of a word, nor the other way round.
    #[error(
        "the durability of channel {channel} cannot change from {is} to {asked}; keep it, or delete the channel with \
         its messages and create it again",
        is = is.as_str(),
        asked = asked.as_str()
    )]
    Durability {
        /// `namespace/name`.
        channel: String,
        /// What it is.
        is: Durability,
        /// What it should become.
        asked: Durability,
    },
    /// More channels than the broker takes.
    #[error("{0} channels exceed the broker's limit of {CHANNELS_MAX}; use a second MessageBroker")]
    TooMany(usize),
    /// More orphans than the broker keeps.
    #[error(
        "{0} channels and orphans exceed the broker's limit of {CHANNELS_AND_ORPHANS_MAX}; delete unneeded orphans"
    )]
    TooManyOrphans(usize),
    /// Every channel number was given.
    #[error("all channel numbers of this data folder are used; move to a new data folder")]
    NumbersExhausted,
    /// There is no room on the disk.
    #[error(
        "the broker's disk is full: there is no room for the change ({0}); enlarge the volume, or run the broker without \
         the change until messages were received"
    )]
    Full(io::Error),
    /// The disk took nothing of the change.
    #[error("the change could not be written to {}: {source}", file.display())]
    NotWritten {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The disk failed under this change or an earlier one, and only a restart can tell what it holds.
    #[error(
        "the disk failed during a change of the address store; restart the broker, which then decides what was stored"
    )]
    Failed,
}

/// What two channels cannot both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The identity.
    Uid,
    /// The namespace and name.
    Name,
    /// An address that messages are sent to, and that not all of its channels share.
    Destination,
    /// An address that is shared by as many channels as may.
    FullDestination,
    /// The address that messages are asked for at.
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
    /// What to do about it.
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

/// Two channels claim the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channels {first} and {second} both claim the {claim} {value}; {}", claim.advice())]
pub struct Conflict {
    /// What they claim.
    pub claim: Claim,
    /// Which one.
    pub value: String,
    /// One channel: its `namespace/name`, and its UID where the name would not tell them apart.
    pub first: String,
    /// The other.
    pub second: String,
}
