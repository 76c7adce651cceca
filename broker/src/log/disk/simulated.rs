//! A simulated disk in memory that loses everything that a real one may lose. After a power cut, each unsynced sector
//! has the old bytes or the new ones, and each unsynced name exists or not. The disk can be full, and any write or sync
//! can fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use super::storage::{Storage, Volume};

mod file;

const SECTOR: usize = 512;

/// A repeatable source of chance: xorshift64* (Vigna, 2016).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    /// Decides the fate of a name, or of one of its sectors, from this chance and from the name and sector alone, so
    /// that it does not depend on anything else.
    fn falls_on(&self, name: &str, sector: Option<usize>) -> bool {
        let mut bytes = self.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&sector.unwrap_or(usize::MAX).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes).is_multiple_of(2)
    }
}

/// The effect of a power cut on unsynced bytes and names.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// Everything reached the disk.
    None,
    /// Nothing reached the disk.
    All,
    /// Each name and each sector reached the disk or not.
    Some(Chance),
}

impl Loss {
    /// A random loss.
    pub(crate) fn by(chance: &mut Chance) -> Self {
        match chance.below(4) {
            0 => Self::None,
            1 => Self::All,
            _ => Self::Some(Chance::new(chance.below(u64::MAX))),
        }
    }

    fn takes(&self, name: &str, sector: Option<usize>) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(chance) => chance.falls_on(name, sector),
        }
    }
}

#[derive(Debug, Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    /// The content on disk of sectors that were written and not synced.
    on_disk: BTreeMap<usize, Vec<u8>>,
    /// The same for sectors that the system takes for synced although their sync failed.
    forgotten: BTreeMap<usize, Vec<u8>>,
}

#[derive(Debug, Default)]
struct DiskState {
    contents: BTreeMap<u64, Content>,
    /// How often each file is open. An open file exists even without a name.
    open: BTreeMap<u64, usize>,
    names: BTreeMap<String, u64>,
    names_on_disk: BTreeMap<String, u64>,
    next: u64,
    /// Number of random numbers drawn.
    drawn: u64,
    /// How many more writes and syncs succeed.
    good_for: Option<u64>,
    /// Whether every sync of a file fails.
    syncs_fail: bool,
    /// Unreadable sectors.
    bad: Vec<(u64, usize)>,
    /// Whether every read of a file fails.
    reads_fail: bool,
    /// How often room was reserved without writing it.
    allocations: u64,
    /// All names that were removed or renamed: they may still exist on disk.
    gone: BTreeSet<String>,
}

/// The thread that makes spares.
const SPARES: &str = "spare-segments";
/// Threads that work ahead, and for which nobody waits.
const AHEAD: [&str; 2] = [SPARES, "log-indexes"];

/// Called before an operation of the disk, except for threads that work ahead.
type Before = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Default)]
struct Slowness {
    spare: Option<Before>,
    sync: Option<Before>,
    read: Option<Before>,
}

/// A volume shared by several folders.
#[derive(Debug, Default)]
struct SharedVolume {
    /// Limit of the bytes of all files.
    room: Option<usize>,
    /// Bytes used by others.
    others: usize,
    /// Bytes of the files in each folder.
    used: Vec<usize>,
}

/// A folder on a simulated volume.
#[derive(Clone, Default)]
pub(crate) struct Simulated {
    state: Arc<Mutex<DiskState>>,
    volume: Arc<Mutex<SharedVolume>>,
    /// Its index on the volume.
    folder: usize,
    slowness: Arc<Mutex<Slowness>>,
}

/// A file of the folder.
pub(crate) struct SimulatedFile {
    disk: Simulated,
    id: u64,
}

impl Simulated {
    /// A disk with other random numbers.
    pub(crate) fn seeded(drawn: u64) -> Self {
        let disk = Self::default();
        disk.state().drawn = drawn << 32;
        disk
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap()
    }

    /// Limits the bytes of all files.
    pub(crate) fn limit(&self, room: usize) {
        self.volume.lock().unwrap().room = Some(room);
    }

    /// Sets the bytes that others use on the volume.
    pub(crate) fn others_take(&self, bytes: usize) {
        self.volume.lock().unwrap().others = bytes;
    }

    /// Another folder on the same volume.
    pub(crate) fn beside(&self) -> Self {
        let folder = self.folder + 1;
        Self { volume: self.volume.clone(), folder, ..Self::default() }
    }

    /// Bytes of the volume, and its free bytes.
    fn total_and_left(&self, state: &DiskState) -> (usize, usize) {
        let mut volume = self.volume.lock().unwrap();
        if volume.used.len() <= self.folder {
            volume.used.resize(self.folder + 1, 0);
        }
        volume.used[self.folder] = state.contents.values().map(|content| content.bytes.len()).sum();
        let total = volume.room.unwrap_or(1 << 40);
        let used = volume.used.iter().sum::<usize>() + volume.others;
        (total, total.saturating_sub(used))
    }

    /// After this number of writes and syncs, all of them fail.
    pub(crate) fn fail_after(&self, operations: u64) {
        self.state().good_for = Some(operations);
    }

    /// Makes all syncs of files fail, or not any more.
    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.state().syncs_fail = fail;
    }

    /// Makes reads of a place in a file fail, as from a bad block.
    pub(crate) fn break_at(&self, name: &str, offset: usize) {
        let mut state = self.state();
        let id = state.names[name];
        state.bad.push((id, offset / SECTOR * SECTOR));
    }

    /// Makes all blocks readable again.
    pub(crate) fn mend(&self) {
        self.state().bad.clear();
    }

    /// Makes all reads of files fail.
    pub(crate) fn fail_reads(&self) {
        self.state().reads_fail = true;
    }

    /// Calls this before each sync of a file.
    pub(crate) fn before_sync(&self, before: impl Fn() + Send + Sync + 'static) {
        self.slowness.lock().unwrap().sync = Some(Arc::new(before));
    }

    /// Empties the cache, and calls this before each read of a file.
    pub(crate) fn before_read(&self, before: impl Fn() + Send + Sync + 'static) {
        self.slowness.lock().unwrap().read = Some(Arc::new(before));
    }

    /// Calls this before each piece of a new spare.
    pub(crate) fn before_spares(&self, before: impl Fn() + Send + Sync + 'static) {
        self.slowness.lock().unwrap().spare = Some(Arc::new(before));
    }

    fn slow_down(&self, which: impl Fn(&Slowness) -> Option<Before>) {
        let before = which(&self.slowness.lock().unwrap());
        if let Some(before) =
            before.filter(|_| !thread::current().name().is_some_and(|name| AHEAD.contains(&name)))
        {
            before();
        }
    }

    /// How often room was reserved without writing it.
    pub(crate) fn allocations(&self) -> u64 {
        self.state().allocations
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> usize {
        self.state().contents.values().map(|content| content.bytes.len()).sum()
    }

    /// The disk after a kill of the process: everything written is there. The old process cannot change it.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.state();
        let names = state.names.clone();
        let copy = DiskState {
            contents: state.contents.clone(),
            names_on_disk: names.clone(),
            names,
            next: state.next,
            drawn: state.drawn,
            bad: state.bad.clone(),
            ..DiskState::default()
        };
        Self { state: Arc::new(Mutex::new(copy)), ..Self::default() }
    }

    /// The disk after a failed sync and the end of the process. Everything is still readable, but no unsynced byte is
    /// on disk, and the next sync succeeds without writing it.
    pub(crate) fn after_failed_sync(&self) -> Self {
        let copy = self.after_kill();
        for content in copy.state().contents.values_mut() {
            content.forgotten = std::mem::take(&mut content.on_disk);
        }
        copy
    }

    /// The disk after a power cut with random losses.
    pub(crate) fn after_power_cut(&self, chance: &mut Chance) -> Self {
        self.after_loss(&Loss::Some(Chance::new(chance.below(u64::MAX))))
    }

    /// The disk after a power cut with these losses.
    pub(crate) fn after_loss(&self, loss: &Loss) -> Self {
        let state = self.state();
        let mut names = state.names_on_disk.clone();
        // Each unsynced change of a name reached the disk or not.
        for (name, id) in &state.names {
            if state.names_on_disk.get(name) != Some(id) && !loss.takes(name, None) {
                names.retain(|_, other| other != id);
                names.insert(name.clone(), *id);
            }
        }
        for name in &state.gone {
            if !state.names.contains_key(name) && !loss.takes(name, None) {
                names.remove(name);
            }
        }
        let mut contents = state.contents.clone();
        let called = state.names_on_disk.iter().chain(&state.names).map(|(name, id)| (*id, name));
        let called: BTreeMap<u64, &String> = called.collect();
        for (id, content) in &mut contents {
            // A file without a name cannot be opened.
            let name = called.get(id).map_or("", |name| name.as_str());
            let forgotten = std::mem::take(&mut content.forgotten).into_iter();
            let unsynced = std::mem::take(&mut content.on_disk).into_iter();
            let unsynced = unsynced.filter(|(sector, _)| loss.takes(name, Some(*sector)));
            for (sector, old) in unsynced.chain(forgotten).collect::<Vec<_>>() {
                let start = sector * SECTOR;
                let end = content.bytes.len().min(start + old.len());
                content.bytes[start..end].copy_from_slice(&old[..end - start]);
            }
        }
        let copy = DiskState {
            contents,
            names_on_disk: names.clone(),
            names,
            next: state.next,
            drawn: state.drawn,
            bad: state.bad.clone(),
            ..DiskState::default()
        };
        Self { state: Arc::new(Mutex::new(copy)), ..Self::default() }
    }

    /// All places in the files that have these bytes.
    pub(crate) fn find(&self, wanted: &[u8]) -> Vec<(String, usize)> {
        let state = self.state();
        let mut found = Vec::new();
        for (name, id) in &state.names {
            let bytes = &state.contents[id].bytes;
            let places = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
            found.extend(places.map(|(offset, _)| (name.clone(), offset)));
        }
        found
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        let mut state = self.state();
        let (content, id) = (state.contents[&state.names[from]].clone(), state.next);
        state.next += 1;
        state.contents.insert(id, content);
        state.names.insert(to.to_owned(), id);
    }

    /// The bytes of a file.
    pub(crate) fn bytes_of(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.contents[&state.names[name]].bytes.clone()
    }

    /// Replaces the content of a file durably, or creates the file.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.contents.insert(id, Content { bytes, ..Content::default() });
        state.names.insert(name.to_owned(), id);
        state.names_on_disk.insert(name.to_owned(), id);
    }

    /// Writes all files into a real folder, for an inspection.
    pub(crate) fn write_to(&self, folder: &Path) {
        let state = self.state();
        for (name, id) in &state.names {
            std::fs::write(folder.join(name), &state.contents[id].bytes).unwrap();
        }
    }

    /// Changes one byte of a file.
    pub(crate) fn flip(&self, name: &str, offset: usize) {
        let mut state = self.state();
        let id = state.names[name];
        state.contents.get_mut(&id).unwrap().bytes[offset] ^= 0x40;
    }
}

impl SimulatedFile {
    fn of(disk: &Simulated, id: u64) -> Self {
        *disk.state().open.entry(id).or_default() += 1;
        Self { disk: disk.clone(), id }
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        let DiskState { contents, open, names, names_on_disk, .. } = &mut *state;
        let Some(count) = open.get_mut(&self.id) else { return };
        *count -= 1;
        if *count == 0 {
            open.remove(&self.id);
            if !names.values().chain(names_on_disk.values()).any(|id| *id == self.id) {
                contents.remove(&self.id);
            }
        }
    }
}

impl DiskState {
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.good_for {
            Some(0) => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Storage for Simulated {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let id = *self.state().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimulatedFile::of(self, id))
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.contents.insert(id, Content::default());
        state.names.insert(name.to_owned(), id);
        drop(state);
        Ok(SimulatedFile::of(self, id))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        state.gone.insert(from.to_owned());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let id = state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.gone.insert(name.to_owned());
        if !state.names_on_disk.values().any(|other| *other == id) && !state.open.contains_key(&id) {
            state.contents.remove(&id);
        }
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.names_on_disk = state.names.clone();
        state.gone.clear();
        let DiskState { contents, open, names, .. } = &mut *state;
        let names: BTreeSet<u64> = names.values().copied().collect();
        contents.retain(|id, _| names.contains(id) || open.contains_key(id));
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        let mut state = self.state();
        state.drawn += 1;
        Ok(state.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn volume(&self) -> io::Result<Volume> {
        let (total, left) = self.total_and_left(&self.state());
        Ok(Volume { total: total as u64, available: left as u64 })
    }

    fn path(&self) -> &Path {
        Path::new("simulated")
    }
}
