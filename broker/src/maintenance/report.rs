//! The report of an inspection, for programs (`--json`) and for people.

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

/// The content of a data folder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) folder: String,
    /// Whether there is no damage. A torn tail is not damage: nothing in it was acknowledged.
    pub(super) healthy: bool,
    pub(super) store_id: Option<Uuid>,
    pub(super) addresses: Addresses,
    pub(super) log: Log,
    /// The channels and counts of their messages, by channel name.
    pub(super) channels: Vec<Channel>,
    pub(super) damage: Vec<ReportedDamage>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Addresses {
    pub(super) channels: usize,
    pub(super) orphans: usize,
    /// Deleted channels that are still in the address store: only the log has recorded the deletion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) deleted: Vec<Deleted>,
    /// Where a crash tore the journal during a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut_at: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deleted {
    pub(super) channel: String,
    pub(super) uid: Uuid,
}

/// The logs: one per worker thread, and logs from starts with other numbers of worker threads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Log {
    pub(super) segments: Vec<Segment>,
    pub(super) spares: u64,
    pub(super) spare_bytes: u64,
    /// Whole group commits.
    pub(super) frames: u64,
    /// Counts of records, by kind.
    pub(super) records: std::collections::BTreeMap<&'static str, u64>,
    /// Group commits at the end that are not known to be on disk. The next start writes them again.
    pub(super) unsynced_frames: u64,
    pub(super) unsynced_bytes: u64,
    /// Where a power cut tore a log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cuts: Vec<TornTail>,
}

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

/// The torn tail of a log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TornTail {
    pub(super) file: String,
    pub(super) offset: u64,
    /// Bytes of frames after it.
    pub(super) bytes: u64,
    /// Whole group commits after it, which were never acknowledged.
    pub(super) void_frames: u64,
}

/// The source of a channel's name and UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum NameFrom {
    Addresses,
    /// The log: the address store has lost the channel.
    Log,
    /// Neither: the name is made up.
    Nothing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Channel {
    /// The id in the log's records, in hexadecimal digits.
    pub(super) id: String,
    pub(super) channel: String,
    pub(super) uid: Uuid,
    /// Whether the channel is missing from the current set.
    pub(super) orphan: bool,
    pub(super) name_from: NameFrom,
    pub(super) ready: u64,
    pub(super) leased: u64,
    pub(super) delayed: u64,
    pub(super) dead: u64,
    /// Unreadable messages among these.
    pub(super) unreadable: u64,
    pub(super) bytes: u64,
}

/// Damage, and the savable messages around it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportedDamage {
    #[serde(flatten)]
    pub(super) damage: Damage,
    /// Messages that are stored before and after the damage in the log and can be saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) savable: Vec<Savable>,
}

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
            healthy: view.damage.is_empty(),
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
    /// Readable messages in all channels.
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
        id: held.entry.id.to_string(),
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
