//! Inspection of the store's files, without any change and past any damage. This is the only code that reads them:
//! `check` lists all damage, and a start refuses the folder at the first.

mod damage;

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use uuid::Uuid;

use super::{
    OpenError,
    contents::{Change, Contents},
    disk::{JOURNAL, SNAPSHOT},
    entry::StoredChannel,
    frame::{self, Frame, ReadError},
    journal::{self, Record},
    search::{self, NextEntry},
};
use crate::{files::plain_file, log::ChannelId};
use damage::Cause;
pub(crate) use damage::Damage;

/// The files of the store, in reading order.
pub(crate) const FILES: [&str; 2] = [SNAPSHOT, JOURNAL];

/// Upper limit of a file: far above the size with two million channels.
const FILE_BYTES_MAX: u64 = 64 << 30;
const CANNOT_READ: &str = "cannot read";
/// Bytes per read.
const BUFFER_BYTES: usize = 1 << 20;

/// The contents of the store's files, and their damage.
#[derive(Debug, Default)]
pub(crate) struct InspectedStore {
    pub(super) contents: Contents,
    /// The id of the address store.
    pub(crate) id: Option<String>,
    /// All damage, in reading order.
    pub(crate) damage: Vec<Damage>,
    /// Where a crash tore the journal during a change.
    pub(crate) cut_at: Option<u64>,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) journal: Option<JournalEnd>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot {
    pub(super) generation: u64,
    pub(super) bytes: u64,
}

/// The end of the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct JournalEnd {
    /// The generation of the snapshot that it follows.
    pub(super) generation: u64,
    /// The byte after the last whole entry.
    pub(super) bytes: u64,
    pub(super) next_sequence: u64,
    /// Whether the last entry is a change without its mark.
    pub(super) lacks_mark: bool,
}

impl InspectedStore {
    /// Whether the store has any file, intact or not.
    pub(crate) fn has_files(&self) -> bool {
        self.snapshot.is_some() || self.journal.is_some() || !self.damage.is_empty()
    }

    /// All channels, by name, and whether each is an orphan.
    pub(crate) fn channels(&self) -> Vec<(&super::ChannelEntry, bool)> {
        let held = self.contents.channels.values();
        let mut channels: Vec<_> = held.map(|StoredChannel { entry, orphan }| (&**entry, *orphan)).collect();
        channels.sort_unstable_by_key(|(entry, _)| (entry.config.qualified_name(), entry.config.uid));
        channels
    }

    /// Whether a channel or an orphan has this UID.
    pub(crate) fn has(&self, uid: Uuid) -> bool {
        self.contents.channels.contains_key(&uid)
    }

    /// Whether the channel with this UID was deleted.
    pub(crate) fn is_deleted(&self, uid: Uuid) -> bool {
        self.contents.deleted.contains(uid)
    }

    /// The id of the channel or orphan with this UID.
    pub(crate) fn id_of(&self, uid: Uuid) -> Option<ChannelId> {
        self.contents.channels.get(&uid).map(|held| held.entry.id)
    }

    /// How many more deletions can be remembered before the oldest is forgotten.
    pub(crate) fn deletions_room(&self) -> usize {
        self.contents.deleted.room()
    }

    /// Completes a deletion that the log has recorded. Returns the channel if it was still there.
    pub(crate) fn complete(&mut self, uid: Uuid) -> Option<Arc<super::ChannelEntry>> {
        self.contents.deleted.remember(uid);
        self.contents.channels.remove(&uid).map(|held| held.entry)
    }

    /// Removes the channel with this id.
    pub(crate) fn take_out(&mut self, id: ChannelId) {
        self.contents.channels.retain(|_, held| held.entry.id != id);
    }

    /// Adds a lost channel as an orphan, which keeps its messages. It replaces any other channel with its id.
    pub(crate) fn adopt(&mut self, entry: super::ChannelEntry) {
        self.take_out(entry.id);
        self.contents.channels.insert(entry.config.uid, StoredChannel::orphan(entry.into()));
    }

    /// Writes the contents into a folder without a store.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let Contents { channels, deleted, synced_at } = &self.contents;
        let puts = channels.values().flat_map(|StoredChannel { entry, orphan }| {
            let put = Change::Put { id: entry.id, config: entry.config.clone().into() };
            [put].into_iter().chain(orphan.then_some(Change::Orphan(entry.config.uid)))
        });
        let deleted = deleted.iter().map(Change::Delete);
        let changes = puts.chain(deleted).chain(synced_at.map(Change::Synced));
        super::snapshot::write(&folder.join(SNAPSHOT), 1, self.id.clone(), changes)
            .map_err(|error| error.source)?;
        journal::Journal::create(&folder.join(JOURNAL), 1, self.id.clone()).map_err(|error| error.source)?;
        Ok(())
    }

    /// For a start, which accepts a store without any damage only: returns the first damage as an error.
    pub(super) fn require_undamaged(self, folder: &Path) -> Result<Self, OpenError> {
        let mut damage = self.damage;
        if damage.is_empty() {
            return Ok(Self { damage, ..self });
        }
        let Damage { file, bytes, reason, cause } = damage.swap_remove(0);
        let path = if file.is_empty() { folder.to_owned() } else { folder.join(file) };
        Err(match cause {
            Cause::Missing => OpenError::Incomplete { path, reason },
            Cause::Bytes => OpenError::Damaged { path, offset: bytes.start, reason },
            Cause::System(source) => OpenError::Io { action: CANNOT_READ, path, source },
        })
    }
}

/// Inspects the store in a folder. A missing file counts as empty if the other one is missing as well.
pub(crate) fn inspect(folder: &Path) -> Result<InspectedStore, OpenError> {
    let mut inspected = InspectedStore::default();
    if let Err(error) = plain_file::has_folder(folder) {
        inspected.refused("", 0..0, folder, error)?;
        return Ok(inspected);
    }
    for name in FILES {
        let path = folder.join(name);
        match open(&path) {
            Ok(Some((file, length))) => {
                inspected.read(&path, name, &mut BufReader::with_capacity(BUFFER_BYTES, file), length)?;
            }
            Ok(None) if name == JOURNAL && inspected.snapshot.is_some() => {
                inspected.missing(name, "there is a snapshot, and a snapshot always has a journal");
            }
            Ok(None) => {}
            Err(error) => inspected.refused(name, 0..0, &path, error)?,
        }
    }
    Ok(inspected)
}

/// Opens a file of the store, if it exists, and returns its length.
pub(super) fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    let Some(file) = plain_file::open(path)? else { return Ok(None) };
    plain_file::check_length(&file, FILE_BYTES_MAX)?;
    let length = file.metadata()?.len();
    Ok(Some((file, length)))
}

/// The state of reading a file's entries.
struct Walk<'a, R> {
    path: &'a Path,
    name: &'static str,
    from: &'a mut R,
    length: u64,
    /// The offset and the expected sequence of the next entry.
    at: u64,
    expected: u64,
    /// Whether the previous entry is a change.
    after_change: bool,
}

/// How reading continues after an entry.
enum Step {
    GoOn,
    /// The rest of the file is void.
    End,
}

impl InspectedStore {
    /// Reads the entries of a file.
    fn read<R: Read + Seek>(
        &mut self,
        path: &Path,
        name: &'static str,
        from: &mut R,
        length: u64,
    ) -> Result<(), OpenError> {
        let (at, expected, after_change) = (0, 0, false);
        let mut walk = Walk { path, name, from, length, at, expected, after_change };
        match self.entries(&mut walk) {
            // The entries before it count.
            Err(OpenError::Io { source, .. }) => self.refused(name, walk.at..length, path, source),
            read => read,
        }
    }

    fn entries<R: Read + Seek>(&mut self, walk: &mut Walk<'_, R>) -> Result<(), OpenError> {
        let Walk { name, length, .. } = *walk;
        if name == SNAPSHOT {
            self.snapshot = Some(Snapshot { generation: 0, bytes: 0 });
        }
        while walk.at < length {
            let (frame, reason) = match frame::read(walk.from) {
                Ok(Some(frame)) if frame.sequence >= walk.expected => (Some(frame), ""),
                Ok(_) => (None, "another entry should be here"),
                Err(ReadError::Damaged(reason)) => (None, reason),
                Err(ReadError::Io(error)) => return Err(walk.failed(error)),
            };
            let frame = match frame {
                Some(frame) => frame,
                None => match self.past_damage(walk, reason)? {
                    Some(frame) => frame,
                    None => break,
                },
            };
            if frame.sequence > walk.expected {
                self.add_damage(name, walk.at..walk.at, "entries are missing here");
                walk.expected = frame.sequence;
            }
            if let Step::End = self.entry(walk, &frame)? {
                return Ok(());
            }
        }
        if length == 0 {
            self.add_damage(name, 0..0, "the file is empty");
        } else if name == SNAPSHOT {
            self.add_damage(name, length..length, "the file ends before its last entry");
        }
        Ok(())
    }

    /// Skips damage. Continues at the next whole entry, or nowhere if this is the torn end of the journal.
    fn past_damage<R: Read + Seek>(
        &mut self,
        walk: &mut Walk<'_, R>,
        reason: &str,
    ) -> Result<Option<Frame>, OpenError> {
        let next = walk.next_entry(walk.at + 1, walk.expected)?;
        if walk.is_torn(&next)? {
            self.cut_at = Some(walk.at);
            return Ok(None);
        }
        let (to, frame) = match next {
            NextEntry::Entry(to, frame) => (to, Some(frame)),
            NextEntry::Nothing => (walk.length, None),
            NextEntry::NotSearched(to) => (to, None),
        };
        self.add_damage(walk.name, walk.at..to, reason);
        if let Some(frame) = &frame {
            // The reported damage includes the entries missing before this one.
            (walk.at, walk.expected) = (to, frame.sequence);
            walk.seek(to + frame::encoded_len(frame.payload.len()))?;
        }
        Ok(frame)
    }

    /// Applies a whole entry.
    fn entry<R: Read + Seek>(&mut self, walk: &mut Walk<'_, R>, frame: &Frame) -> Result<Step, OpenError> {
        let (name, at) = (walk.name, walk.at);
        let end = at + frame::encoded_len(frame.payload.len());
        let is_journal = name == JOURNAL;
        let record = journal::record(frame, walk.expected);
        walk.after_change = matches!(&record, Ok(Record::Changes(changes)) if !changes.is_empty());
        match record {
            Ok(record @ Record::Head(_)) if walk.expected == 0 => {
                let journal::Head { generation, id, .. } = journal::head(walk.path, record)?;
                if let (Some(one), Some(other)) = (&self.id, &id)
                    && one != other
                {
                    self.add_damage(
                        name,
                        at..end,
                        "the file belongs to another address store than the one beside it",
                    );
                }
                self.id = self.id.take().or(id);
                if !is_journal {
                    self.snapshot = Some(Snapshot { generation, bytes: 0 });
                } else {
                    let snapshot = self.snapshot.map_or(0, |snapshot| snapshot.generation);
                    self.journal =
                        Some(JournalEnd { generation, bytes: 0, next_sequence: 0, lacks_mark: false });
                    if generation < snapshot {
                        // The snapshot contains all its changes.
                        return Ok(Step::End);
                    }
                    if generation > snapshot {
                        self.missing(SNAPSHOT, "the journal belongs to a later snapshot");
                    }
                }
            }
            Ok(Record::Changes(changes)) => {
                for change in changes {
                    if let Err(reason) = self.contents.apply(change) {
                        self.add_damage(name, at..end, reason);
                    }
                }
            }
            Ok(Record::End) if !is_journal => {
                self.snapshot = self.snapshot.map(|snapshot| Snapshot { bytes: end, ..snapshot });
                return Ok(Step::End);
            }
            Ok(_) => self.add_damage(name, at..end, "the entry is in the wrong place"),
            Err(reason) => self.add_damage(name, at..end, reason),
        }
        (walk.at, walk.expected) = (end, walk.expected + 1);
        if let Some(journal) = self.journal.as_mut().filter(|_| is_journal) {
            (journal.bytes, journal.next_sequence) = (walk.at, walk.expected);
            journal.lacks_mark = walk.after_change;
        }
        Ok(Step::GoOn)
    }
}

impl<R: Read + Seek> Walk<'_, R> {
    fn failed(&self, source: io::Error) -> OpenError {
        OpenError::Io { action: CANNOT_READ, path: self.path.to_owned(), source }
    }

    fn seek(&mut self, to: u64) -> Result<(), OpenError> {
        self.from.seek(SeekFrom::Start(to)).map(drop).map_err(|error| self.failed(error))
    }

    fn next_entry(&mut self, from: u64, sequence: u64) -> Result<NextEntry, OpenError> {
        search::next_entry(self.from, from, self.length, sequence).map_err(|error| self.failed(error))
    }

    /// Whether the damaged bytes here were being written at a crash and therefore never acknowledged.
    ///
    /// A change is written after the previous one is synced, and its mark after the change itself is synced. So a power
    /// cut can tear the last change, with nothing behind it. Or it can tear the unsynced mark before the last change,
    /// while the change itself reached the disk. If that change had been acknowledged, its own mark would follow.
    fn is_torn(&mut self, next: &NextEntry) -> Result<bool, OpenError> {
        if self.name != JOURNAL || self.expected == 0 {
            return Ok(false);
        }
        match next {
            NextEntry::Nothing => Ok(true),
            NextEntry::NotSearched(_) => Ok(false),
            NextEntry::Entry(at, frame) => {
                let record = journal::record(frame, self.expected + 1);
                let is_change = matches!(record, Ok(Record::Changes(changes)) if !changes.is_empty());
                let end = at + frame::encoded_len(frame.payload.len());
                Ok(self.after_change
                    && is_change
                    && matches!(self.next_entry(end, frame.sequence + 1)?, NextEntry::Nothing))
            }
        }
    }
}

/// Reads arbitrary bytes as a file of the store, for [`crate::fuzz`].
pub(crate) fn fuzz(is_snapshot: bool, bytes: &[u8]) {
    let mut inspected = InspectedStore::default();
    let name = FILES[usize::from(!is_snapshot)];
    let _ = inspected.read(Path::new(name), name, &mut io::Cursor::new(bytes), bytes.len() as u64);
    let _ = inspected.channels();
}

#[cfg(test)]
mod tests;
