//! What a check finds out, for programs (`--json`) and for people.

use serde::Serialize;
use uuid::Uuid;

use super::{
    damage::Damage,
    view::{ChannelView, FolderView},
};
use crate::{
    channel::State,
    log::disk::inspection::{self, SegmentSummary},
};

/// What is in a data folder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// The folder.
    pub(super) folder: String,
    /// Whether nothing is damaged. A torn tail is no damage: nothing in it was acknowledged.
    pub(super) sound: bool,
    /// Which store it is.
    pub(super) store_id: Option<Uuid>,
    pub(super) addresses: Addresses,
    pub(super) log: Log,
    /// The channels with what they hold, by number.
    pub(super) channels: Vec<Channel>,
    pub(super) damage: Vec<ReportedDamage>,
}

/// The address store.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Addresses {
    pub(super) channels: usize,
    pub(super) orphans: usize,
    /// Channels that were deleted, which only the log knows yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) deleted: Vec<Deleted>,
    /// Where the journal was torn while a change was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut_at: Option<u64>,
}

/// A channel that was deleted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deleted {
    /// `namespace/name`.
    pub(super) channel: String,
    pub(super) uid: Uuid,
}

/// The logs: one of each core, and those of other numbers of cores.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Log {
    pub(super) segments: Vec<Segment>,
    pub(super) spares: u64,
    pub(super) spare_bytes: u64,
    /// Group commits that are whole.
    pub(super) frames: u64,
    /// Records of each kind.
    pub(super) records: std::collections::BTreeMap<&'static str, u64>,
    /// Group commits at the end that nothing shows to be on disk. The next start writes them once more.
    pub(super) unsynced_frames: u64,
    pub(super) unsynced_bytes: u64,
    /// Where a power cut tore a log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cuts: Vec<TornTail>,
}

/// A segment in use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Segment {
    pub(super) file: String,
    pub(super) epoch: u64,
    pub(super) first_frame: u64,
    pub(super) frames: u64,
    pub(super) used_bytes: u64,
    pub(super) bytes: u64,
}

/// Where the log ends before it ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TornTail {
    pub(super) file: String,
    pub(super) offset: u64,
    /// Bytes behind it that group commits were written to.
    pub(super) bytes: u64,
    /// Whole group commits behind it, which were not acknowledged.
    pub(super) void_frames: u64,
}

/// Where a channel's name and UID are known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum NameFrom {
    /// The address store knows it.
    Addresses,
    /// The address store has lost it, and the log tells.
    Log,
    /// Nothing tells it: it is made up.
    Nothing,
}

/// A channel.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Channel {
    pub(super) number: u32,
    /// `namespace/name`.
    pub(super) channel: String,
    pub(super) uid: Uuid,
    /// Whether the set of channels no longer has it.
    pub(super) orphan: bool,
    /// What tells its name.
    pub(super) name_from: NameFrom,
    pub(super) ready: u64,
    pub(super) leased: u64,
    pub(super) delayed: u64,
    pub(super) dead: u64,
    /// Messages among all of these whose contents cannot be read.
    pub(super) unreadable: u64,
    pub(super) bytes: u64,
}

/// A damage, and what lies around it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportedDamage {
    #[serde(flatten)]
    pub(super) damage: Damage,
    /// Messages that lie before it and after it in the log, and can be saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) savable: Vec<Savable>,
}

/// Messages of a channel that can be saved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Savable {
    pub(super) channel: String,
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Report {
    pub(super) fn of(view: &FolderView) -> Self {
        let channels = view.channels();
        let (unsynced_frames, unsynced_bytes) = view.logs.unsynced();
        let (spares, spare_bytes) = view.logs.spares();
        let segments: Vec<_> = view.logs.segments().into_iter().map(segment).collect();
        let orphans = channels.iter().filter(|held| held.orphan).count();
        Self {
            folder: view.folder.path().display().to_string(),
            sound: view.damage.is_empty(),
            store_id: view.folder.store_id(),
            addresses: Addresses {
                channels: channels.len() - orphans,
                orphans,
                deleted: view.deleted.iter().map(deleted).collect(),
                cut_at: view.addresses.cut_at,
            },
            log: Log {
                frames: segments.iter().map(|segment| segment.frames).sum(),
                segments,
                spares,
                spare_bytes,
                records: view.kinds.clone(),
                unsynced_frames,
                unsynced_bytes,
                cuts: view.logs.torn_tails().into_iter().map(cut).collect(),
            },
            channels: channels.iter().map(|held| channel(view, *held)).collect(),
            damage: view.damage.iter().map(|damage| found(view, damage, &channels)).collect(),
        }
    }
}

impl Report {
    /// Messages in all channels that can be read.
    pub(super) fn messages(&self) -> u64 {
        let counts = |channel: &Channel| channel.ready + channel.leased + channel.delayed + channel.dead;
        self.channels.iter().map(|channel| counts(channel) - channel.unreadable).sum()
    }
}

fn deleted((channel, uid): &(String, Uuid)) -> Deleted {
    Deleted { channel: channel.clone(), uid: *uid }
}

fn cut(seen: inspection::TornTail) -> TornTail {
    TornTail { file: seen.file, offset: seen.offset, bytes: seen.bytes, void_frames: seen.void_frames }
}

fn segment(seen: SegmentSummary) -> Segment {
    Segment {
        file: seen.file,
        epoch: seen.epoch,
        first_frame: seen.first_frame,
        frames: seen.frames,
        used_bytes: seen.end,
        bytes: seen.bytes,
    }
}

fn channel(view: &FolderView, held: ChannelView<'_>) -> Channel {
    let name_from = view.name_from(&held);
    let config = &held.entry.config;
    let mut channel = Channel {
        number: held.entry.number,
        channel: config.qualified_name(),
        uid: config.uid,
        orphan: held.orphan,
        name_from,
        ready: 0,
        leased: 0,
        delayed: 0,
        dead: 0,
        unreadable: 0,
        bytes: 0,
    };
    for (_, message) in held.messages() {
        *match message.state() {
            State::Ready => &mut channel.ready,
            State::Leased => &mut channel.leased,
            State::Delayed => &mut channel.delayed,
            State::Dead => &mut channel.dead,
        } += 1;
        channel.unreadable += u64::from(view.unread(&message).is_some());
        channel.bytes += u64::from(message.stored.bytes);
    }
    channel
}

fn found(view: &FolderView, damage: &Damage, channels: &[ChannelView<'_>]) -> ReportedDamage {
    let at = view.logs.position(&damage.file, damage.from).filter(|_| !damage.is_of_content());
    let savable = at.into_iter().flat_map(|at| {
        channels.iter().map(move |held| {
            let count = |before| {
                let messages = held.messages();
                messages.filter(|(_, message)| (message.stored.position < at) == before).count() as u64
            };
            let channel = held.entry.config.qualified_name();
            Savable { channel, before: count(true), after: count(false) }
        })
    });
    let savable = savable.filter(|savable| savable.before + savable.after > 0).collect();
    ReportedDamage { damage: damage.clone(), savable }
}
