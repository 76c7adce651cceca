//! Opens the logs of a data folder and creates the shards. All logs are read at once, each by a thread.

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
    data_folder::{self, DataFolder, DataFolderError, FoundLogs, LogIds},
    first_failure::FirstFailure,
    log::{
        self, DiskLog, Options,
        disk::{OlderLogs, SoundLog, storage::Folder},
    },
    shard::{Common, Placement, ReplayedLog, Shard, StartError},
};

/// The content of the logs; the address store knows each of its channels.
pub(crate) struct Read {
    found: Vec<ReplayedLog<DiskLog>>,
    clock: Clock,
    older: Arc<OlderLogs<Folder>>,
}

/// Open shards, their clock and their older logs.
pub(crate) struct Opened {
    pub(crate) shards: Vec<Shard>,
    pub(crate) clock: Clock,
    /// Logs of earlier numbers of workers.
    pub(crate) older: Arc<OlderLogs<Folder>>,
}

/// Applies the channels of manifests.
pub(crate) fn apply_manifests(
    store: &AddressStore,
    channels: Vec<ChannelConfig>,
    data_dir: &Path,
) -> Result<Changes, RunError> {
    store.sync_manifests(channels).map_err(|source| match source {
        ApplyError::Failed => failed(store),
        source => RunError::Apply { addresses: data_dir.join(data_folder::ADDRESSES), source },
    })
}

/// The disk failed during a change of the address store, which names the file.
fn failed(store: &AddressStore) -> RunError {
    RunError::store_failed([&store.failure(), &FirstFailure::default()])
}

/// Reads the logs of a data folder for this number of workers, and makes sure that the address store knows the owner of
/// every record.
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
        // A log that this start creates has no folder yet.
        let is_there = path.exists();
        is_there.then(|| Ok(SoundLog::inspect(Folder::guarded(path, folder.guard()))?)).transpose()
    };
    // No log is written before all are known to be undamaged.
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
    let older = Arc::new(OlderLogs::open(older, cores as u32)?);
    let current = current.into_iter().zip(logs.current.clone()).collect();
    let found = in_parallel(current, |shard, (sound, path)| -> Result<_, RunError> {
        let sound = match sound {
            Some(sound) => sound,
            None => SoundLog::inspect(Folder::guarded(path, folder.guard()))?,
        };
        let log = DiskLog::open_sound(older.clone(), sound, options)?;
        let id = log.id();
        let found = ReplayedLog::read(log, Placement { shard, shards: cores }, store);
        Ok((id, current_thread()?.block_on(found).map_err(StartError::from)?))
    })?;
    let (begun, mut found): (Vec<u64>, Vec<_>) = found.into_iter().unzip();
    let begun = ids(logs.current.iter().zip(begun));
    ReplayedLog::begin_epoch(&mut found);
    ReplayedLog::find_owners(&mut found, store).map_err(|error| match error {
        StartError::Apply(ApplyError::Failed) => failed(store),
        error => error.into(),
    })?;
    let past = found.iter().map(ReplayedLog::past).fold(Past::default(), Past::and);
    let clock = Clock::start(source, past);
    older.make_room();
    // Must come before anything is stored in a new log, and before the rest of the copied logs is removed.
    if folder.record_parts(lasting.into_iter().chain(begun).collect(), store.id())? {
        older.remove_copied();
        folder.remove_empty_logs(&logs)?;
    } else {
        tracing::warn!("the volume has no room to record its logs and address store; the next start retries");
    }
    Ok(Read { found, clock, older })
}

fn name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// The id of each log, by the name of its folder.
fn ids<'a>(logs: impl Iterator<Item = (&'a PathBuf, u64)>) -> LogIds {
    logs.filter_map(|(path, id)| Some((name(path)?, data_folder::part_id(id)))).collect()
}

impl Read {
    /// Creates the shards.
    pub(crate) fn start(self, common: &Common) -> Result<Opened, RunError> {
        let Self { found, clock, older } = self;
        let shards = in_parallel(found, |_, found| Ok(Shard::start(found, common.clone(), clock.clone())?))?;
        if older.held().0 > 0 {
            let (segments, bytes) = older.held();
            tracing::info!(
                segments,
                bytes,
                "reading the logs of another number of workers; they are copied gradually"
            );
        }
        Ok(Opened { shards, clock, older })
    }
}

/// Runs `act` for every item; with several items, each on a thread of its own.
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
