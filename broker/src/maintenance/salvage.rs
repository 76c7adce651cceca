//! `restante-broker salvage`: creates a new data folder with everything readable of a damaged one.
//!
//! All readable records are written again, in their order, into a new log. So every change of a message that followed
//! its push is kept if it is readable. Records in the damaged ranges are lost, pushes and settles alike. A message is
//! delivered at least once: if its settle is lost, it is delivered again. Like a restored backup, the new folder is a
//! store of its own.

use std::{
    fs::OpenOptions,
    future::poll_fn,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use restante_wire::terminal::Form;
use tokio::runtime::{Builder, Runtime};

use super::{
    MaintenanceError, Verdict, destination::Destination, new_folder::NewFolder, report::Report, stdout, text,
    view::FolderView,
};
use crate::{
    clock::{TimeSource, rfc3339},
    config::SalvageArguments,
    data_folder,
    log::{AppendError, DiskLog, Log, LogError, OpenError, Options, Purpose, Record, Sync},
    shard::residual_records,
};

/// Bytes per commit: large enough that syncs cost little.
const GROUP_BYTES: usize = 1 << 20;

/// Creates the new folder, and reports what could not be saved.
pub(super) fn run(arguments: &SalvageArguments) -> Result<Verdict, MaintenanceError> {
    let SalvageArguments { folder, new_folder, move_old_to } = arguments;
    let view = FolderView::of(folder)?;
    let place = Destination::find(new_folder, move_old_to.as_deref(), Some(&view.folder))?;
    let moves_source = place.moves_source();
    let fresh = NewFolder::begin(place)?;
    let addresses = Path::new(data_folder::ADDRESSES);
    fresh.make_folder(addresses)?;
    let addresses = fresh.folder().join(addresses);
    view.addresses.write(&addresses).map_err(|error| MaintenanceError::io("write to", &addresses, error))?;
    let key_file = fresh.folder().join(data_folder::LEASE_KEY);
    let key = view.folder.lease_key().map_or_else(|| data_folder::random(&key_file), |key| Ok(*key))?;
    write_key(&key_file, &key)?;
    write_log(&view, &fresh.folder().join(data_folder::LOG))?;
    let now = rfc3339(TimeSource::system().wall());
    let from = data_folder::Origin { store_id: view.folder.store_id(), taken_at: now };
    data_folder::write_version(fresh.folder(), Some(from))?;
    let (before, after) = (Report::of(&view), Report::of(&FolderView::of_new(fresh.folder())?));
    if !after.healthy || after.messages() != before.messages() {
        return Err(MaintenanceError::SalvageMismatch { read: before.messages(), written: after.messages() });
    }
    fresh.finish()?;
    let after = Report { folder: new_folder.display().to_string(), ..after };
    let left = move_old_to.as_ref().filter(|_| moves_source).unwrap_or(folder);
    let before = Report { folder: left.display().to_string(), ..before };
    let mut to = stdout(Form::Lines);
    tell(&before, &after, &mut to).and_then(|()| to.flush()).map_err(MaintenanceError::Output)?;
    Ok(if before.healthy { Verdict::Healthy } else { Verdict::Damaged })
}

fn tell(before: &Report, after: &Report, to: &mut impl Write) -> io::Result<()> {
    text::write(after, to)?;
    let (messages, folder) = (after.messages(), &after.folder);
    writeln!(to, "salvaged: {messages} messages are in {folder}, which is a new store with its own id")?;
    if before.healthy {
        return writeln!(to, "nothing was left behind: {} is not damaged", before.folder);
    }
    writeln!(to, "left behind in {}:", before.folder)?;
    for found in &before.damage {
        writeln!(to, "  {}", found.damage.line())?;
        writeln!(to, "    {}", found.damage.means)?;
    }
    if before.damage.iter().any(|found| found.damage.loses_settles) {
        writeln!(
            to,
            "Messages whose settle was in a damaged range are delivered again: inform their receivers."
        )?;
    }
    Ok(())
}

fn write_key(path: &Path, key: &[u8]) -> Result<(), MaintenanceError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(key)?;
        file.sync_all()
    });
    written.map_err(|error| MaintenanceError::io("write", path, error))
}

/// Writes all readable records into a new log.
fn write_log(view: &FolderView, folder: &Path) -> Result<(), MaintenanceError> {
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(|error| MaintenanceError::io("start writing to", folder, error))?;
    // Every record that fitted a segment fits again.
    let largest = view.logs.segments().iter().map(|segment| segment.bytes).max();
    let segment_bytes = largest.unwrap_or(Options::default().segment_bytes);
    let mut log = DiskLog::open(folder, Options { segment_bytes }).map_err(|error| match error {
        OpenError::Full { segment_bytes, .. } => MaintenanceError::NoRoomForLog { segment_bytes },
        error => error.into(),
    })?;
    let mut written = Ok(());
    view.logs.records(|seen, record| {
        let mut write = |record: &Record<'_>| {
            if written.is_ok() {
                written = write(&runtime, &mut log, record);
            }
        };
        match seen.unread {
            None => write(record),
            // The message is lost; the other facts in its record are kept.
            Some(_) => residual_records(record, &mut write),
        }
    })?;
    written?;
    commit(&runtime, &mut log)?;
    Ok(log.close()?)
}

/// Appends one record; if the log is full, waits until spare segments are ready.
fn write(runtime: &Runtime, log: &mut DiskLog, record: &Record<'_>) -> Result<(), MaintenanceError> {
    let appended = match log.append(record, Purpose::Copy) {
        Err(AppendError::Full) => {
            runtime.block_on(poll_fn(|context| log.poll_room(context)));
            log.append(record, Purpose::Copy)
        }
        appended => appended,
    };
    appended.map_err(MaintenanceError::NoRoom)?;
    if log.open_bytes() < GROUP_BYTES { Ok(()) } else { Ok(commit(runtime, log)?) }
}

/// Commits the open batch, and waits until it is on disk.
fn commit(runtime: &Runtime, log: &mut DiskLog) -> Result<(), LogError> {
    runtime.block_on(async {
        poll_fn(|context| log.poll_takes_batch(context)).await;
        let number = log.commit(Sync::Now);
        loop {
            let (committed, outcome) = poll_fn(|context| log.poll_commit(context)).await;
            if outcome? == Sync::Now && committed == number {
                return Ok(());
            }
        }
    })
}
