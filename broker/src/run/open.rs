//! From the logs of a data folder to the cores: all are read at the same time, each by a thread.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, ScopedJoinHandle},
};

use restante_wire::ChannelConfig;

use super::{RunError, current_thread};
use crate::{
    address_store::{AddressStore, ApplyError, Changes},
    clock::{Clock, Past, TimeSource},
    core::{Common, Core, Found, Here, StartError},
    data_folder::{self, DataFolder, DataFolderError, FoundLogs, LogIds},
    first_failure::FirstFailure,
    log::{
        self, DiskLog, Options,
        disk::{Older, Sound, storage::Folder},
    },
};

/// What the logs have, each channel of which the address store knows.
pub(crate) struct Read {
    found: Vec<Found<DiskLog>>,
    clock: Clock,
    older: Arc<Older<Folder>>,
}

/// What was opened.
pub(crate) struct Opened {
    /// The cores, in their order.
    pub(crate) cores: Vec<Core>,
    /// The broker's clock.
    pub(crate) clock: Clock,
    /// Logs of other numbers of cores.
    pub(crate) older: Arc<Older<Folder>>,
}

/// Takes the channels of manifests.
pub(crate) fn take(
    store: &AddressStore,
    channels: Vec<ChannelConfig>,
    data_dir: &Path,
) -> Result<Changes, RunError> {
    store.sync_manifests(channels).map_err(|source| match source {
        ApplyError::Failed => failed(store),
        source => RunError::Apply { addresses: data_dir.join(data_folder::ADDRESSES), source },
    })
}

/// The disk failed under a change of the addresses; the store tells of which file.
fn failed(store: &AddressStore) -> RunError {
    RunError::store_failed([&store.failure(), &FirstFailure::default()])
}

/// Reads the logs of a data folder, for so many cores, and sees to it that the address store knows whose all of it is.
pub(crate) fn read(
    folder: &DataFolder,
    cores: usize,
    options: Options,
    store: &AddressStore,
    source: TimeSource,
) -> Result<Read, RunError> {
    store.set_id(folder.addresses_id(store.id())?);
    let logs = folder.logs(cores as u32)?;
    folder.check_rights(&logs)?;
    let look = |_, path: PathBuf| -> Result<_, RunError> {
        // One that is begun by this start has no folder yet.
        let is_there = path.exists();
        is_there.then(|| Ok(Sound::look(Folder::guarded(path, folder.guard()))?)).transpose()
    };
    // Nothing is written to any of them before all are known to be sound.
    let older: Vec<_> = in_parallel(logs.older.clone(), look)?;
    let current = in_parallel(logs.current.clone(), look)?;
    let all = || logs.older.iter().zip(&older).chain(logs.current.iter().zip(&current));
    let there = || all().filter_map(|(path, sound)| Some((path, sound.as_ref()?)));
    let holding = there().filter(|(_, sound)| sound.holds_frames()).filter_map(|(path, _)| name(path));
    let found = ids(there().filter_map(|(path, sound)| Some((path, sound.id()?))));
    folder.compare_logs(&FoundLogs { ids: found, holding: holding.collect() })?;
    let lasting = logs.older.iter().zip(&older).filter_map(|(path, sound)| {
        let sound = sound.as_ref().filter(|sound| !sound.is_empty())?;
        Some((path, sound.id()?))
    });
    let lasting = ids(lasting);
    folder.begin_logs(&logs).map_err(|error| match error {
        DataFolderError::Full { source, .. } => log::OpenError::NoRoomBeside {
            folder: logs.current[0].clone(),
            segment_bytes: options.segment_bytes,
            source,
        }
        .into(),
        error => RunError::from(error),
    })?;
    let older = older.into_iter().flatten().collect();
    let older = Arc::new(Older::open(older, cores as u32)?);
    let current = current.into_iter().zip(logs.current.clone()).collect();
    let found = in_parallel(current, |core, (sound, path)| -> Result<_, RunError> {
        let sound = match sound {
            Some(sound) => sound,
            None => Sound::look(Folder::guarded(path, folder.guard()))?,
        };
        let log = DiskLog::open_sound(older.clone(), sound, options)?;
        let id = log.id();
        let found = Found::read(log, Here { core, cores }, store);
        Ok((id, current_thread()?.block_on(found).map_err(StartError::from)?))
    })?;
    let (begun, mut found): (Vec<u64>, Vec<_>) = found.into_iter().unzip();
    let begun = ids(logs.current.iter().zip(begun));
    Found::settle_outboxes(&mut found);
    Found::find_owners(&mut found, store).map_err(|error| match error {
        StartError::Apply(ApplyError::Failed) => failed(store),
        error => error.into(),
    })?;
    let past = found.iter().map(Found::past).fold(Past::default(), Past::and);
    let clock = Clock::start(source, past);
    older.make_room();
    // Before anything is stored in a log that is new, and before what is left of those that are copied goes.
    if folder.record_parts(lasting.into_iter().chain(begun).collect(), store.id())? {
        older.remove_copied();
        folder.remove_empty_logs(&logs)?;
    } else {
        tracing::warn!(
            "the volume has no room to write down which logs and addresses there are: the next start does it"
        );
    }
    Ok(Read { found, clock, older })
}

fn name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Which log is in which folder.
fn ids<'a>(logs: impl Iterator<Item = (&'a PathBuf, u64)>) -> LogIds {
    logs.filter_map(|(path, id)| Some((name(path)?, data_folder::part_id(id)))).collect()
}

impl Read {
    /// Makes the cores.
    pub(crate) fn start(self, common: &Common) -> Result<Opened, RunError> {
        let Self { found, clock, older } = self;
        let cores = in_parallel(found, |_, found| Ok(Core::start(found, common.clone(), clock.clone())?))?;
        if older.held().0 > 0 {
            let (segments, bytes) = older.held();
            tracing::info!(segments, bytes, "logs of another number of cores are read, and copied by and by");
        }
        Ok(Opened { cores, clock, older })
    }
}

/// Does something with each, by a thread of its own if there are several.
fn in_parallel<T: Send, U: Send>(
    all: Vec<T>,
    act: impl Fn(usize, T) -> Result<U, RunError> + Sync,
) -> Result<Vec<U>, RunError> {
    let act = &act;
    thread::scope(|scope| {
        let spawn = |(index, one)| thread::Builder::new().spawn_scoped(scope, move || act(index, one));
        let threads: Vec<io::Result<ScopedJoinHandle<'_, _>>> =
            all.into_iter().enumerate().map(spawn).collect();
        threads
            .into_iter()
            .map(|thread| {
                let thread = thread.map_err(RunError::Thread)?;
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
