//! Errors of opening a log on disk.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::damage::{Damage, DamageKind};
use crate::log::LogError;

/// Why a log cannot be opened. Its files are unchanged.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("failed to open the log: cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "failed to open the log in {}: the system cannot start a thread: {source}; raise the limit of processes (pids) or of memory",
        folder.display()
    )]
    Thread { folder: PathBuf, source: io::Error },
    /// The volume has too little room for the first segments of a log.
    #[error(
        "failed to open the log in {}: the volume is full, and a log needs at least four segments of {segment_bytes} bytes; \
         free space, enlarge the volume, or use a smaller --segment-size ({source})",
        folder.display()
    )]
    Full { folder: PathBuf, segment_bytes: u64, source: io::Error },
    /// The volume has too little room for new logs beside the logs of another number of worker threads.
    #[error(
        "failed to create the log in {}: no room for one more log per worker thread, with segments of {segment_bytes} bytes; \
         keep the previous number of threads (--cores), or enlarge the volume ({source})",
        folder.display()
    )]
    NoRoomBeside { folder: PathBuf, segment_bytes: u64, source: io::Error },
    #[error(
        "{} has version {version} of the log's format, and this version reads version {known}; start the broker that wrote it{}",
        file.display(),
        if version > known { ", or a later one" } else { "" }
    )]
    Version {
        file: PathBuf,
        /// The version of the file.
        version: u32,
        /// The version that this broker reads.
        known: u32,
    },
    /// Records that were on disk are gone.
    #[error(
        "{} is damaged at offset {offset}: {}; nothing was changed; {}",
        file.display(),
        describe(what, *frame),
        advice(file.parent().unwrap_or(file))
    )]
    Damaged {
        /// The file in which the damage starts.
        file: PathBuf,
        offset: u64,
        /// The number of the first lost frame, if one is lost.
        frame: Option<u64>,
        what: DamageKind,
    },
    /// The file of a segment is gone.
    #[error(
        "the log in {} lacks the file of a segment: frames {} to {} were on disk in it; nothing was changed; put the file back, or \
         {}",
        folder.display(),
        frames.start,
        frames.end - 1,
        advice(folder)
    )]
    FileMissing {
        folder: PathBuf,
        /// The numbers of the lost frames.
        frames: Range<u64>,
    },
    /// Another broker opened the log at the same time.
    #[error(
        "another broker opened the log in {} at the same moment; only one may run on a data folder, and its file 'lock', which \
         excludes the other, must not be removed",
        folder.display()
    )]
    InUse { folder: PathBuf },
    /// The head of a segment is unreadable.
    #[error(
        "{} is damaged at offset 0: its head is unreadable; nothing was changed; {}",
        file.display(),
        advice(file.parent().unwrap_or(file))
    )]
    DamagedHead { file: PathBuf },
    #[error(
        "{} and {} are the same segment of the log; move the copy out of the folder",
        file.display(), other.display()
    )]
    Duplicate { file: PathBuf, other: PathBuf },
}

/// The damage, with its first frame.
fn describe(what: &DamageKind, frame: Option<u64>) -> String {
    match (what, frame) {
        (DamageKind::Frames, Some(frame)) => format!("frame {frame} was on disk and is no longer readable"),
        (what, Some(frame)) => format!("{what} (from frame {frame} on)"),
        (what, None) => what.to_string(),
    }
}

/// Advice for a damaged log, which is in a data folder.
fn advice(log: &Path) -> String {
    let folder = log.parent().unwrap_or(log).display();
    format!(
        "restante-broker check {folder} lists all damage and what can be saved; restore creates a new folder from a \
         backup, and salvage from everything readable"
    )
}

impl OpenError {
    /// The error for damage in a log's folder.
    pub(super) fn of_damage(folder: &Path, damage: &Damage) -> Self {
        let Damage { file, from, frames, what, .. } = damage;
        if let (DamageKind::File, Some(frames)) = (what, frames) {
            return Self::FileMissing { folder: folder.to_owned(), frames: frames.clone() };
        }
        let frame = frames.as_ref().map(|frames| frames.start);
        Self::Damaged { file: folder.join(file), offset: *from, frame, what: what.clone() }
    }

    /// The error of writing the file `synced`.
    pub(super) fn of_synced_file(folder: &Path, error: LogError) -> Self {
        match error {
            LogError::Io { action, file, source } => Self::Io { action, path: file, source },
            _ => Self::InUse { folder: folder.to_owned() },
        }
    }

    /// The error of an operation on a file of the log's folder.
    pub(super) fn io(folder: &Path, file: &str, source: io::Error) -> Self {
        Self::Io { action: "use", path: folder.join(file), source }
    }

    /// The error of an operation on the folder.
    pub(super) fn of_folder(action: &'static str, folder: &Path, source: io::Error) -> Self {
        Self::Io { action, path: folder.to_owned(), source }
    }
}
