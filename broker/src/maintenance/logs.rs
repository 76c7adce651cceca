//! The logs of a data folder: one per worker thread, and older ones. Their files are named relative to the data folder.

use std::path::Path;

use crate::{
    data_folder::{self, FoundLogs, inspection::InspectedFolder},
    log::{
        OpenError, Position, Record,
        disk::inspection::{Damage, FOLDER, LogInspection, RecordSource, SegmentSummary, TornTail, inspect},
    },
};

/// All logs, in replay order.
pub(super) struct Logs(Vec<(String, LogInspection)>);

impl Logs {
    /// Inspects every log of the folder.
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

    /// The id of the log in each folder, and the folders whose log contains records.
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

    /// Excludes logs from the report.
    pub(super) fn leave_out(&mut self, is_left: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| !is_left(name));
    }

    /// All damage, unordered.
    pub(super) fn damage(&self) -> Vec<Damage> {
        let of_log = |(name, log): &(String, LogInspection)| {
            log.damage().iter().map(|damage| in_log(name, damage)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_log).collect()
    }

    /// The torn tails that the next start cuts off.
    pub(super) fn torn_tails(&self) -> Vec<TornTail> {
        let cut = |(name, log): &(String, LogInspection)| {
            log.torn_tail().map(|cut| TornTail { file: path(name, &cut.file), ..cut.clone() })
        };
        self.0.iter().filter_map(cut).collect()
    }

    /// The number and the bytes of whole frames after the last one that is known to be on disk.
    pub(super) fn unsynced(&self) -> (u64, u64) {
        sum(self.0.iter().map(|(_, log)| log.unsynced()))
    }

    /// The number and the bytes of spare segments.
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

    /// Visits all readable records, log by log. Returns the places where a whole frame has a record that this version
    /// cannot decode.
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

    /// The bytes of a record, at a position that [`Self::records`] visited.
    pub(super) fn read(&self, at: Position) -> Result<Vec<u8>, OpenError> {
        let log = self.0.iter().map(|(_, log)| log).find(|log| log.has(at));
        log.expect("the position is in one of the logs").read(at)
    }

    /// A place in a log's file as a position, for comparison with the positions of records.
    pub(super) fn position(&self, file: &str, offset: u64) -> Option<Position> {
        let (folder, file) = file.split_once('/')?;
        let (_, log) = self.0.iter().find(|(name, _)| name == folder)?;
        log.position(file, offset)
    }
}

/// The path of a log's file, relative to the data folder.
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
