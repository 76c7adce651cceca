//! Damage in a report: its place, and the promise that it breaks.

use std::{ops::Range, path::Path};

use serde::Serialize;
use uuid::Uuid;

use crate::data_folder::logs::LogFolder;
use crate::{
    address_store::inspection::Damage as StoreDamage,
    data_folder,
    log::disk::{
        inspection::{self, DamageKind},
        is_synced_name,
    },
    shard::ownership::{self, Orphan},
};

/// One damaged place in a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Damage {
    /// The file, relative to the data folder.
    pub(super) file: String,
    /// The first unusable byte.
    pub(super) from: u64,
    /// The byte after the last one.
    pub(super) to: u64,
    pub(super) what: String,
    /// The consequence for messages, settles and the next start.
    pub(super) means: String,
    /// Lost group commits, if their number is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frames: Option<u64>,
    /// Whether the damage is limited to the content of one message.
    #[serde(skip)]
    is_content: bool,
    /// Whether the damaged range may have contained settles.
    #[serde(skip)]
    pub(super) loses_settles: bool,
}

/// The consequence of lost frames.
const LOST_FRAMES: &str = "messages stored there are lost, and so are settles: a message whose settle was there is \
                      delivered again, although its receiver was answered 204";

/// The consequence of a damaged content that belongs to no remaining message.
const UNUSED_CONTENT: &str = "nothing is lost: no remaining message needs it, and the broker starts; but the disk that damaged it may damage more";

impl Damage {
    /// Names the message whose content is damaged.
    pub(super) fn is_content_of(&mut self, id: Uuid, channels: &[String]) {
        let channels = channels.join(", ");
        self.means = format!(
            "message {id} of {channels} cannot be delivered: it is a dead letter with the cause unreadable, or becomes one at its \
             next delivery. Nothing else is lost, and the broker starts"
        );
    }

    pub(super) fn is_of_content(&self) -> bool {
        self.is_content
    }

    pub(super) fn of_file(file: &str, reason: &str) -> Self {
        let means = match file {
            "lease-key" => {
                "current leases cannot be settled: their messages are delivered again when the leases expire"
            }
            log if log.parse::<LogFolder>().is_ok() => {
                "the broker refuses to start; if a log is missing, its messages are unknown"
            }
            data_folder::ADDRESSES => {
                "the broker refuses to start; only what the log contains about the channels is known"
            }
            "lock" => "the broker refuses to start; put the file back",
            _ => "the store id is unknown, and the broker refuses to start",
        };
        Self::new(file.to_owned(), 0..0, reason, means)
    }

    pub(super) fn of_addresses(StoreDamage { file, bytes, reason, .. }: &StoreDamage) -> Self {
        let means = "channels created or changed there are missing or outdated; their messages are kept. The broker refuses to \
             start";
        let file = Path::new(data_folder::ADDRESSES).join(file).display().to_string();
        Self::new(file.trim_end_matches('/').to_owned(), bytes.clone(), reason, means)
    }

    /// The log has messages or idempotency keys of channels that are missing from the address store.
    pub(super) fn of_lost(orphans: &[Orphan], has_addresses: bool) -> Self {
        let why = if has_addresses {
            "The folders addresses and log come from different points in time, or entries of the address store are lost"
        } else {
            "The folder addresses is missing or empty"
        };
        let what = format!(
            "it has messages or idempotency keys of {} that the address store does not contain and that were never deleted: {}. {why}",
            super::text::count(orphans.len() as u64, "channel"),
            ownership::listed(orphans)
        );
        let means = "no message is lost, only the configuration of the channels: the next start and salvage keep them as orphans with \
                     their messages";
        Self::new(data_folder::LOG.to_owned(), 0..0, &what, means)
    }

    pub(super) fn of_log(damage: &inspection::Damage) -> Self {
        let inspection::Damage { file, from, to, frames, what } = damage;
        let is_synced_file = file.rsplit('/').next().is_some_and(is_synced_name);
        let means = match what {
            DamageKind::Head { kept: true } => "nothing is lost, but the broker refuses to start",
            DamageKind::Duplicate(_) => "the broker refuses to start; move the copy out of the folder",
            DamageKind::Length { has, made } if has > made => {
                "nothing is lost, but the broker refuses to start"
            }
            DamageKind::Foreign => "the broker refuses to start; put back the file that belongs here",
            DamageKind::ForeignSyncedFile => {
                "the broker refuses to start; put back the file that belongs here, or move this one out if the segments are the \
                 right ones"
            }
            DamageKind::TwoWriters => {
                "messages stored there are lost, although their senders were answered 201: the folder's file 'lock', which keeps \
                 a second broker away, was removed while a broker was running"
            }
            DamageKind::SyncedFile { .. } => {
                "it is unknown whether the log was truncated at its end; everything before its end is there. The next start \
                 continues from that end and recreates the file"
            }
            DamageKind::Misplaced(_) if is_synced_file => {
                "the broker refuses to start; put the file back, or move the other one out: the next start recreates it"
            }
            DamageKind::Misplaced(_) => {
                "the broker refuses to start; the records of the missing file are unknown. Put it back, or move the \
                 other one out and salvage the rest"
            }
            DamageKind::Record(_) => "the rest of this group commit is unknown",
            DamageKind::Content { .. } => UNUSED_CONTENT,
            DamageKind::Indexed => {
                "nothing is lost, and the broker starts; this part of the log is kept until it is salvaged"
            }
            DamageKind::Frames
            | DamageKind::FramesOrFile
            | DamageKind::File
            | DamageKind::Length { .. }
            | DamageKind::Empty
            | DamageKind::Head { kept: false }
            | DamageKind::Unreadable => LOST_FRAMES,
        };
        let mut damage = Self::new(file.clone(), *from..*to, &what.to_string(), means);
        damage.loses_settles = what.loses_records() && !is_synced_file;
        damage.frames = frames.as_ref().map(|frames| frames.end - frames.start);
        damage.is_content = matches!(what, DamageKind::Content { .. });
        damage
    }

    fn new(file: String, bytes: Range<u64>, what: &str, means: &str) -> Self {
        let (what, means) = (what.to_owned(), means.to_owned());
        Self {
            file,
            from: bytes.start,
            to: bytes.end,
            what,
            means,
            frames: None,
            is_content: false,
            loses_settles: false,
        }
    }

    /// The place and the kind of the damage, in one line.
    pub(super) fn line(&self) -> String {
        let Self { file, from, to, what, .. } = self;
        if from == to {
            return format!("{file}: {what}");
        }
        format!("{file}, bytes {from} to {}: {what}", to - 1)
    }
}
