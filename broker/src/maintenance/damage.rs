//! Damage, as people are told of it: where it is, and which promise it breaks.

use std::{ops::Range, path::Path};

use serde::Serialize;
use uuid::Uuid;

use crate::data_folder::logs::LogFolder;
use crate::{
    address_store::inspection::Damage as StoreDamage,
    core::{
        UidConflict,
        ownership::{self, Orphan},
    },
    data_folder,
    log::disk::{
        inspection::{self, DamageKind},
        is_synced_name,
    },
};

/// One damaged place of a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Damage {
    /// The file, in the data folder.
    pub(super) file: String,
    /// The first byte that cannot be used.
    pub(super) from: u64,
    /// The byte after the last.
    pub(super) to: u64,
    /// What is wrong.
    pub(super) what: String,
    /// What that means for what was promised.
    pub(super) means: String,
    /// Group commits that are lost, where their number is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frames: Option<u64>,
    /// Whether it is damage to one content.
    #[serde(skip)]
    is_content: bool,
    /// Whether settles may have lain there.
    #[serde(skip)]
    pub(super) loses_settles: bool,
}

/// What the frames of a log promise.
const LOST_FRAMES: &str = "messages that were stored there are lost, and so are settles: a message whose settle lay there comes \
                      again, though its receiver was answered 204";

/// What a content is that no message needs.
const UNUSED_CONTENT: &str = "nothing is lost: no message that is still there needs it, and a start goes on; but the disk that did this may do more";

impl Damage {
    /// Whose content it is that is gone.
    pub(super) fn is_content_of(&mut self, id: Uuid, channels: &[String]) {
        let channels = channels.join(", ");
        self.means = format!(
            "message {id} of {channels} cannot be delivered: it is a dead letter with the cause unreadable, or becomes one when it \
             is asked for. Nothing else is lost, and a start goes on"
        );
    }

    /// Whether it is damage to one content, and to nothing around it.
    pub(super) fn is_of_content(&self) -> bool {
        self.is_content
    }

    pub(super) fn of_file(file: &str, reason: &str) -> Self {
        let means = match file {
            "lease-key" => {
                "leases that are out cannot be settled: their messages come again when the leases end"
            }
            log if log.parse::<LogFolder>().is_ok() => {
                "a start refuses the folder; of what is in the log that belongs there nothing is known here"
            }
            data_folder::ADDRESSES => {
                "a start refuses the folder; of the channels that belong there nothing is known here but what the log says"
            }
            "lock" => "a start refuses the folder: put that file where it belongs",
            _ => "nothing tells which store this is, and a start refuses the folder",
        };
        Self::new(file.to_owned(), 0..0, reason, means)
    }

    pub(super) fn of_addresses(StoreDamage { file, bytes, reason, .. }: &StoreDamage) -> Self {
        let means = "channels that were made or changed there are not known, or not as they were; their messages are. A start refuses the \
             folder";
        let file = Path::new(data_folder::ADDRESSES).join(file).display().to_string();
        Self::new(file.trim_end_matches('/').to_owned(), bytes.clone(), reason, means)
    }

    /// The log has messages or keys of channels that the address store does not know.
    pub(super) fn of_lost(orphans: &[Orphan], has_addresses: bool) -> Self {
        let why = if has_addresses {
            "The folders addresses and log are not of one time, or entries of the address store are lost"
        } else {
            "The folder addresses is missing, or nothing is in it"
        };
        let what = format!(
            "it has messages or keys of {} that the address store does not know, and that nobody has deleted: {}. {why}",
            super::text::count(orphans.len() as u64, "channel"),
            ownership::listed(orphans)
        );
        let means = "no message is lost, only the configuration of the channels: a start and salvage make them orphans that keep their \
                     messages";
        Self::new(data_folder::LOG.to_owned(), 0..0, &what, means)
    }

    /// The log knows a channel as another.
    pub(super) fn of_apart(UidConflict { number, in_log, other }: &UidConflict) -> Self {
        let what =
            format!("channel number {number} is {in_log} here and has the UID {other} in the address store");
        let means = "the folders addresses and log are not of one time, and a start refuses them; salvage goes by the log";
        Self::new(data_folder::LOG.to_owned(), 0..0, &what, means)
    }

    pub(super) fn of_log(damage: &inspection::Damage) -> Self {
        let inspection::Damage { file, from, to, frames, what } = damage;
        let is_synced_file = file.rsplit('/').next().is_some_and(is_synced_name);
        let means = match what {
            DamageKind::Head { kept: true } => "nothing is lost, and a start refuses the folder",
            DamageKind::Duplicate(_) => "a start refuses the folder; move the copy out of it",
            DamageKind::Length { has, made } if has > made => {
                "nothing is lost, and a start refuses the folder"
            }
            DamageKind::Foreign => "a start refuses the folder; put the file back that belongs here",
            DamageKind::ForeignSyncedFile => {
                "a start refuses the folder; put the file back that belongs here, or move this one out if the segments are \
                 the right ones"
            }
            DamageKind::TwoWriters => {
                "messages that were stored there are lost, though their senders were answered 201: the file 'lock' of the \
                 folder, which keeps a second broker away, was removed while a broker ran"
            }
            DamageKind::SyncedFile { .. } => {
                "nothing tells any more whether the log was cut at its end; all before its end is there. The next start goes on \
                 from that end, and makes the file anew"
            }
            DamageKind::Misplaced(_) if is_synced_file => {
                "a start refuses the folder; put the file back, or move out what is there, and the next start makes the file anew"
            }
            DamageKind::Misplaced(_) => {
                "a start refuses the folder; of what is in the file that belongs there nothing is known here. Put the file back, or \
                 move out what is there and salvage the rest"
            }
            DamageKind::Record(_) => "what follows in this group commit is not known",
            DamageKind::Content { .. } => UNUSED_CONTENT,
            DamageKind::Indexed => {
                "nothing is lost, and a start goes on; this part of the log is kept until it was salvaged"
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

    /// Where it is and what it is, in one line.
    pub(super) fn line(&self) -> String {
        let Self { file, from, to, what, .. } = self;
        if from == to {
            return format!("{file}: {what}");
        }
        format!("{file}, bytes {from} to {}: {what}", to - 1)
    }
}
