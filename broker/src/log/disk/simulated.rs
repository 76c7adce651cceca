//! A disk in memory that loses what it may lose: after a power cut each unsynced sector holds the old bytes or the new,
//! and each unsynced name may be there or not. It can be full, and any write or sync can fail.

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

/// A source of chance that a test can repeat: xorshift64* (Vigna, 2016).
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

    /// What becomes of a name or of one of its sectors: by this chance and by what it is alone, so that it does not depend
    /// on what else there is.
    fn falls_on(&self, name: &str, sector: Option<usize>) -> bool {
        let mut bytes = self.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&sector.unwrap_or(usize::MAX).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes).is_multiple_of(2)
    }
}

/// What a power cut does to what was not synced.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// The disk has all of it.
    None,
    /// The disk has nothing of it.
    All,
    /// Each name and each sector is there or not.
    Some(Chance),
}

impl Loss {
    /// One of them, by chance.
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
    /// What the disk has of sectors that were written and not synced.
    on_disk: BTreeMap<usize, Vec<u8>>,
    /// The same of sectors that the system takes for synced, although their sync failed.
    forgotten: BTreeMap<usize, Vec<u8>>,
}

#[derive(Debug, Default)]
struct DiskState {
    contents: BTreeMap<u64, Content>,
    /// How often each is open: it stays so long, whatever becomes of its name.
    open: BTreeMap<u64, usize>,
    names: BTreeMap<String, u64>,
    names_on_disk: BTreeMap<String, u64>,
    next: u64,
    /// Random numbers drawn so far.
    drawn: u64,
    /// How many writes and syncs still succeed.
    good_for: Option<u64>,
    /// Every sync of a file fails.
    syncs_fail: bool,
    /// Sectors that cannot be read.
    bad: Vec<(u64, usize)>,
    /// Every read of a file fails.
    reads_fail: bool,
    /// How often room was reserved without being written.
    allocations: u64,
    /// Names that were ever removed or renamed: the disk may have them still.
    gone: BTreeSet<String>,
}

/// The thread that makes spares.
const SPARES: &str = "spare-segments";
/// Threads that work ahead of what anybody waits for.
const AHEAD: [&str; 2] = [SPARES, "log-indexes"];

/// What a thread goes through before the disk does something for it; not those that work ahead.
type Before = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Default)]
struct Slowness {
    spare: Option<Before>,
    sync: Option<Before>,
    read: Option<Before>,
}

/// What folders that share a volume take of it.
#[derive(Debug, Default)]
struct SharedVolume {
    /// Bytes that all files may have.
    room: Option<usize>,
    /// Bytes that others have taken, who are no folder of a log.
    others: usize,
    /// Bytes of the files in each folder.
    used: Vec<usize>,
}

/// The disk: a folder on a volume.
#[derive(Clone, Default)]
pub(crate) struct Simulated {
    state: Arc<Mutex<DiskState>>,
    volume: Arc<Mutex<SharedVolume>>,
    /// Which folder of the volume it is.
    folder: usize,
    slowness: Arc<Mutex<Slowness>>,
}

/// A file on it.
pub(crate) struct SimulatedFile {
    disk: Simulated,
    id: u64,
}

impl Simulated {
    /// One whose random numbers are others.
    pub(crate) fn seeded(drawn: u64) -> Self {
        let disk = Self::default();
        disk.state().drawn = drawn << 32;
        disk
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap()
    }

    /// From now on files may have so many bytes in all.
    pub(crate) fn limit(&self, room: usize) {
        self.volume.lock().unwrap().room = Some(room);
    }

    /// Somebody else on the volume takes so many bytes of it from now on, and no others.
    pub(crate) fn others_take(&self, bytes: usize) {
        self.volume.lock().unwrap().others = bytes;
    }

    /// Another folder on the same volume.
    pub(crate) fn beside(&self) -> Self {
        let folder = self.folder + 1;
        Self { volume: self.volume.clone(), folder, ..Self::default() }
    }

    /// Bytes of the volume, and those that are left of it.
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

    /// After so many more writes and syncs, every one fails.
    pub(crate) fn fail_after(&self, operations: u64) {
        self.state().good_for = Some(operations);
    }

    /// From now on syncs of files fail, or do not any more.
    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.state().syncs_fail = fail;
    }

    /// From now on reads of a place in a file fail, as those of a bad block.
    pub(crate) fn break_at(&self, name: &str, offset: usize) {
        let mut state = self.state();
        let id = state.names[name];
        state.bad.push((id, offset / SECTOR * SECTOR));
    }

    /// All blocks can be read again.
    pub(crate) fn mend(&self) {
        self.state().bad.clear();
    }

    /// From now on reads of files fail.
    pub(crate) fn fail_reads(&self) {
        self.state().reads_fail = true;
    }

    /// Whoever syncs a file goes through this first.
    pub(crate) fn before_sync(&self, before: impl Fn() + Send + Sync + 'static) {
        self.slowness.lock().unwrap().sync = Some(Arc::new(before));
    }

    /// Nothing is in memory any more, and whoever reads a file goes through this first.
    pub(crate) fn before_read(&self, before: impl Fn() + Send + Sync + 'static) {
        self.slowness.lock().unwrap().read = Some(Arc::new(before));
    }

    /// Whoever makes a spare goes through this before each piece of it.
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

    /// How often room was reserved without being written.
    pub(crate) fn allocations(&self) -> u64 {
        self.state().allocations
    }

    /// How many bytes all files have.
    pub(crate) fn used(&self) -> usize {
        self.state().contents.values().map(|content| content.bytes.len()).sum()
    }

    /// The disk after the process was killed: it has everything that was written. The old process can do nothing to it.
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

    /// The disk after a sync failed and the process ended: everything can still be read, the disk has none of what was not
    /// synced before, and the next sync succeeds without writing it.
    pub(crate) fn after_failed_sync(&self) -> Self {
        let copy = self.after_kill();
        for content in copy.state().contents.values_mut() {
            content.forgotten = std::mem::take(&mut content.on_disk);
        }
        copy
    }

    /// The disk after a power cut, by chance.
    pub(crate) fn after_power_cut(&self, chance: &mut Chance) -> Self {
        self.after_loss(&Loss::Some(Chance::new(chance.below(u64::MAX))))
    }

    /// The disk after a power cut that does this.
    pub(crate) fn after_loss(&self, loss: &Loss) -> Self {
        let state = self.state();
        let mut names = state.names_on_disk.clone();
        // Each change of names that was not synced is there or not.
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
            // Nobody can open what has no name.
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

    /// Every place in the files where these bytes are.
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

    /// Copies a file.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        let mut state = self.state();
        let (content, id) = (state.contents[&state.names[from]].clone(), state.next);
        state.next += 1;
        state.contents.insert(id, content);
        state.names.insert(to.to_owned(), id);
    }

    /// All of a file.
    pub(crate) fn bytes_of(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.contents[&state.names[name]].bytes.clone()
    }

    /// A file holds something else from now on, on disk as well; made if it is not there.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.contents.insert(id, Content { bytes, ..Content::default() });
        state.names.insert(name.to_owned(), id);
        state.names_on_disk.insert(name.to_owned(), id);
    }

    /// Writes all files into a folder of the real file system, for what looks at one there.
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
