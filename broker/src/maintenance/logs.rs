//! The logs of a data folder: those of all cores, and older ones. Their files are told by their names in the data folder.

use std::path::Path;

use crate::{
    data_folder::{self, FoundLogs, inspection::InspectedFolder},
    log::{
        OpenError, Position, Record,
        disk::inspection::{Damage, FOLDER, LogInspection, RecordSource, SegmentSummary, TornTail, inspect},
    },
};

/// All logs, in the order of what they say of a message.
pub(super) struct Logs(Vec<(String, LogInspection)>);

impl Logs {
    /// Looks at all of them.
    pub(super) fn inspect(folder: &InspectedFolder) -> Result<Self, OpenError> {
        let mut logs = Vec::new();
        let mut segments = 0;
        for name in folder.logs() {
            let log = inspect(&folder.path().join(&name), segments)?;
            segments += log.segments().len() as u32;
            logs.push((name, log));
        }
        Ok(Self(logs))
    }

    /// Which log is in which folder, and which hold something.
    pub(super) fn found(&self) -> FoundLogs {
        let id =
            |(name, log): &(String, LogInspection)| Some((name.clone(), data_folder::part_id(log.id()?)));
        let holding =
            self.0.iter().filter(|(_, log)| log.segments().iter().any(|segment| segment.frames > 0));
        FoundLogs {
            ids: self.0.iter().filter_map(id).collect(),
            holding: holding.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Leaves logs out of account.
    pub(super) fn leave_out(&mut self, is_left: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| !is_left(name));
    }

    /// What is damaged, in no order.
    pub(super) fn damage(&self) -> Vec<Damage> {
        let of_log = |(name, log): &(String, LogInspection)| {
            log.damage().iter().map(|damage| in_log(name, damage)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_log).collect()
    }

    /// What the next start cuts off.
    pub(super) fn torn_tails(&self) -> Vec<TornTail> {
        let cut = |(name, log): &(String, LogInspection)| {
            log.torn_tail().map(|cut| TornTail { file: path(name, &cut.file), ..cut.clone() })
        };
        self.0.iter().filter_map(cut).collect()
    }

    /// Good frames that no later frame knows to be on disk: how many, and their bytes.
    pub(super) fn unsynced(&self) -> (u64, u64) {
        sum(self.0.iter().map(|(_, log)| log.unsynced()))
    }

    /// Files ready for use, and their bytes.
    pub(super) fn spares(&self) -> (u64, u64) {
        sum(self.0.iter().map(|(_, log)| log.spares()))
    }

    /// The segments in use, oldest first.
    pub(super) fn segments(&self) -> Vec<SegmentSummary> {
        let of_log = |(name, log): &(String, LogInspection)| {
            let seen =
                |segment: SegmentSummary| SegmentSummary { file: path(name, &segment.file), ..segment };
            log.segments().into_iter().map(seen).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_log).collect()
    }

    /// Goes through all good records, log by log. Returns where a whole frame holds what this version cannot read.
    pub(super) fn records(
        &self,
        mut visit: impl FnMut(RecordSource<'_>, &Record<'_>),
    ) -> Result<Vec<Damage>, OpenError> {
        let mut damage = Vec::new();
        for (name, log) in &self.0 {
            let unreadable = log.records(|seen, record| {
                visit(RecordSource { file: &path(name, seen.file), ..seen }, record)
            })?;
            damage.extend(unreadable.iter().map(|damage| in_log(name, damage)));
        }
        Ok(damage)
    }

    /// A record's bytes, at a position that [`Self::records`] told.
    pub(super) fn read(&self, at: Position) -> Result<Vec<u8>, OpenError> {
        let log = self.0.iter().map(|(_, log)| log).find(|log| log.has(at));
        log.expect("it was told of one of the logs").read(at)
    }

    /// A place in a file of a log, to be compared with where records lie.
    pub(super) fn position(&self, file: &str, offset: u64) -> Option<Position> {
        let (folder, file) = file.split_once('/')?;
        let (_, log) = self.0.iter().find(|(name, _)| name == folder)?;
        log.position(file, offset)
    }
}

/// A file of a log, in the data folder.
fn path(log: &str, file: &str) -> String {
    if file == FOLDER {
        return log.to_owned();
    }
    Path::new(log).join(file).display().to_string()
}

fn in_log(log: &str, damage: &Damage) -> Damage {
    Damage { file: path(log, &damage.file), ..damage.clone() }
}

fn sum(all: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    all.fold((0, 0), |(count, bytes), (more, their_bytes)| (count + more, bytes + their_bytes))
}
