//! `restante-broker restore`: creates a data folder from a backup, completely or not at all.
//!
//! The folder gets a store id of its own. It has a past state, and the original may still exist: with the same id, the
//! store would seem to run backwards. Everything else is restored unchanged: channels keep their numbers, leases can
//! still be settled, and the revision is a hash of the content, so the operator notices by itself whether it must send
//! channel configurations again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use restante_wire::terminal::Form;

use super::{
    MaintenanceError, Verdict, destination::Destination, new_folder::NewFolder, report::Report, say, stdout,
    text, view::FolderView,
};
use crate::{
    backup::{self, ArchiveError, Manifest, Sink},
    config::RestoreArguments,
    data_folder,
};

/// A piece of the zeros that fill up a segment.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Restores a backup and prints a report.
pub(super) fn run(arguments: &RestoreArguments) -> Result<Verdict, MaintenanceError> {
    let RestoreArguments { backup, folder, move_old_to } = arguments;
    let fresh = NewFolder::begin(Destination::find(folder, move_old_to.as_deref(), None)?)?;
    let into = fresh.folder().to_owned();
    let mut files = Files { folder: into.clone(), current: None };
    let no_backup = |source| match source {
        // The backup is not to blame.
        ArchiveError::Sink { action, name, source } => MaintenanceError::io(action, &into.join(name), source),
        source => MaintenanceError::InvalidBackup { file: backup.clone(), source },
    };
    let manifest = if backup == Path::new("-") {
        backup::read(io::stdin().lock(), &mut files).map_err(no_backup)?
    } else {
        let file = File::open(backup).map_err(|error| MaintenanceError::io("open", backup, error))?;
        backup::read(BufReader::new(file), &mut files).map_err(no_backup)?
    };
    check_room(fresh.folder(), &manifest)?;
    fill_up(fresh.folder(), &manifest)?;
    for name in [data_folder::ADDRESSES, data_folder::LOG] {
        fresh.make_folder(Path::new(name))?;
    }
    let restored_from =
        data_folder::Origin { store_id: Some(manifest.store_id), taken_at: manifest.taken_at.clone() };
    data_folder::write_version(fresh.folder(), Some(restored_from))?;
    let report = Report::of(&FolderView::of_new(fresh.folder())?);
    fresh.finish()?;
    say(&format!(
        "restored the backup of store {} as of {} to {}, which is a new store with its own id",
        manifest.store_id,
        manifest.taken_at,
        folder.display()
    ));
    let mut to = stdout(Form::Lines);
    let report = Report { folder: folder.display().to_string(), ..report };
    text::write(&report, &mut to).and_then(|()| to.flush()).map_err(MaintenanceError::Output)?;
    // A backup includes damage that the broker had not noticed.
    Ok(if report.healthy { Verdict::Healthy } else { Verdict::Damaged })
}

/// Writes the files of an archive into a folder.
struct Files {
    folder: PathBuf,
    current: Option<File>,
}

impl Sink for Files {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        self.current = Some(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?);
        Ok(())
    }

    fn contents(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn end(&mut self) -> io::Result<()> {
        self.current.take().map_or(Ok(()), |file| file.sync_all())
    }
}

/// Fails before the disk is filled if it has too little room.
fn check_room(folder: &Path, manifest: &Manifest) -> Result<(), MaintenanceError> {
    let padding = manifest.files.iter().filter_map(|entry| entry.padded_bytes?.checked_sub(entry.bytes));
    let needed = padding.fold(0, u64::saturating_add);
    let volume =
        rustix::fs::statvfs(folder).map_err(|error| MaintenanceError::io("inspect", folder, error.into()))?;
    let available = volume.f_frsize.saturating_mul(volume.f_bavail);
    if needed > available {
        return Err(MaintenanceError::NoRoomToRestore { path: folder.to_owned(), needed, available });
    }
    Ok(())
}

/// Fills segments up to their full length with allocated blocks, so that the log has its reserve even if the disk is
/// full later.
fn fill_up(folder: &Path, manifest: &Manifest) -> Result<(), MaintenanceError> {
    for entry in &manifest.files {
        let Some(to) = entry.padded_bytes.filter(|to| *to > entry.bytes) else { continue };
        let path = folder.join(&entry.name);
        let filled = OpenOptions::new().append(true).open(&path).and_then(|mut file| {
            let mut left = to - entry.bytes;
            while left > 0 {
                let length = left.min(ZEROS.len() as u64) as usize;
                file.write_all(&ZEROS[..length])?;
                left -= length as u64;
            }
            file.sync_all()
        });
        filled.map_err(|error| MaintenanceError::io("fill up", &path, error))?;
    }
    Ok(())
}
