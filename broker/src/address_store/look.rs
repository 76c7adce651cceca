//! What the store's files hold, read without changing anything and past any damage: for people in trouble.
//!
//! A start reads the same entries ([`super::journal`], [`super::snapshot`]) and refuses the first that it cannot read.

use std::{fs, io, ops::Range, path::Path};

use super::{
    OpenError,
    contents::{Change, Contents},
    entry::Held,
    frame::{self, Frame},
    journal::{self, Record},
};

/// The files of the store, in the order in which they are read.
pub(crate) const FILES: [&str; 2] = [super::disk::SNAPSHOT, super::disk::JOURNAL];

/// What was found.
pub(crate) struct Looked {
    contents: Contents,
    /// What is damaged: the file, which of its bytes, and how.
    pub(crate) harm: Vec<(String, Range<u64>, String)>,
    /// Where the journal was torn while a change was written.
    pub(crate) cut_at: Option<u64>,
}

impl Looked {
    /// Every channel and orphan with whether it is one, by number.
    pub(crate) fn channels(&self) -> Vec<(&super::ChannelEntry, bool)> {
        let held = self.contents.channels.values();
        let mut channels: Vec<_> = held.map(|Held { entry, orphan }| (&**entry, *orphan)).collect();
        channels.sort_unstable_by_key(|(entry, _)| entry.number);
        channels
    }

    /// Whether this number was ever given to a channel.
    pub(crate) fn is_given(&self, number: u32) -> bool {
        number < self.contents.next_number
    }

    /// Takes a channel for one whose entry is lost: an orphan, which keeps its messages.
    pub(crate) fn adopt(&mut self, entry: super::ChannelEntry) {
        self.contents.next_number = self.contents.next_number.max(entry.number.saturating_add(1));
        self.contents.channels.insert(entry.config.uid, Held::orphan(entry.into()));
    }

    /// Writes a store with all of it into a folder that has none.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let Contents { channels, deleted, next_number, synced_at } = &self.contents;
        let puts = channels.values().flat_map(|Held { entry, orphan }| {
            let put = Change::Put { number: entry.number, config: entry.config.clone().into() };
            [put].into_iter().chain(orphan.then_some(Change::Orphan(entry.config.uid)))
        });
        let deleted = deleted.iter().map(Change::Delete);
        let rest = [Change::NextNumber(*next_number)].into_iter().chain(synced_at.map(Change::Synced));
        super::snapshot::write(&folder.join(super::disk::SNAPSHOT), 1, puts.chain(deleted).chain(rest))
            .map_err(|error| error.source)?;
        journal::Journal::create(&folder.join(super::disk::JOURNAL), 1).map_err(|error| error.source)?;
        Ok(())
    }
}

/// Looks at the store in a folder. A file that is missing is empty, if the other is as well.
pub(crate) fn look(folder: &Path) -> Result<Looked, OpenError> {
    let mut looked = Looked { contents: Contents::default(), harm: Vec::new(), cut_at: None };
    let mut snapshot_generation = None;
    for name in FILES {
        let path = folder.join(name);
        let is_journal = name == super::disk::JOURNAL;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_journal && snapshot_generation.is_some() {
                    looked.harmed(name, 0..0, "there is a snapshot, and every snapshot has a journal");
                }
                continue;
            }
            Err(source) => return Err(OpenError::Io { action: "cannot read", path, source }),
        };
        let read = looked.read(&path, name, &bytes, snapshot_generation)?;
        if !is_journal {
            snapshot_generation = Some(read);
        }
    }
    Ok(looked)
}

impl Looked {
    fn harmed(&mut self, file: &str, bytes: Range<u64>, reason: &str) {
        self.harm.push((file.to_owned(), bytes, reason.to_owned()));
    }

    /// Reads a file's entries; returns its generation.
    fn read(
        &mut self,
        path: &Path,
        name: &str,
        bytes: &[u8],
        snapshot: Option<u64>,
    ) -> Result<u64, OpenError> {
        let is_journal = name == super::disk::JOURNAL;
        let (mut generation, mut at, mut expected, mut ended) = (snapshot.unwrap_or(0), 0, 0, is_journal);
        while at < bytes.len() {
            let (frame, reason) = match frame::read(&mut &bytes[at..]) {
                Ok(Some(frame)) if frame.sequence > expected => {
                    self.harmed(name, at as u64..at as u64, "entries are missing here");
                    expected = frame.sequence;
                    continue;
                }
                Ok(Some(frame)) if frame.sequence == expected => (Some(frame), ""),
                Ok(_) => (None, "an entry stands where another should"),
                Err(frame::ReadError::Damaged(reason)) => (None, reason),
                Err(frame::ReadError::Io(_)) => (None, "it cannot be read"),
            };
            let Some(frame) = frame else {
                let next = next_whole(bytes, at + 1, expected);
                if is_journal && expected > 0 && next.is_none() {
                    // An entry is written only after the one before it was synced.
                    self.cut_at = Some(at as u64);
                    return Ok(generation);
                }
                let (to, sequence) = next.map_or((bytes.len(), expected), |(to, frame)| (to, frame.sequence));
                self.harmed(name, at as u64..to as u64, reason);
                (at, expected) = (to, sequence);
                continue;
            };
            let length = frame::encoded_len(frame.payload.len());
            let here = at as u64..at as u64 + length;
            match journal::record(&frame, expected) {
                Ok(record @ Record::Head(_)) if expected == 0 => {
                    generation = journal::head(path, record)?.generation;
                    match snapshot {
                        Some(snapshot) if is_journal && generation < snapshot => return Ok(generation),
                        snapshot if is_journal && generation > snapshot.unwrap_or(0) => {
                            self.harmed(super::disk::SNAPSHOT, 0..0, "the journal follows a later snapshot");
                        }
                        _ => {}
                    }
                }
                Ok(Record::Changes(changes)) => {
                    for change in changes {
                        if let Err(reason) = self.contents.apply(change) {
                            self.harmed(name, here.clone(), reason);
                        }
                    }
                }
                Ok(Record::End) if !is_journal => {
                    ended = true;
                    break;
                }
                Ok(_) => self.harmed(name, here, "the entry does not belong there"),
                Err(reason) => self.harmed(name, here, &reason),
            }
            at += length as usize;
            expected += 1;
        }
        if !ended || (is_journal && bytes.is_empty()) {
            self.harmed(name, bytes.len() as u64..bytes.len() as u64, "the file ends before its last entry");
        }
        Ok(generation)
    }
}

/// The next whole entry from a place on, with a sequence of at least `sequence`.
fn next_whole(bytes: &[u8], from: usize, sequence: u64) -> Option<(usize, Frame)> {
    (from..bytes.len()).find_map(|at| match frame::read(&mut &bytes[at..]) {
        Ok(Some(frame)) if frame.sequence >= sequence => Some((at, frame)),
        _ => None,
    })
}

/// Reads any bytes as a file of the store, for [`crate::fuzz`].
pub(crate) fn fuzz(is_snapshot: bool, bytes: &[u8]) {
    let mut looked = Looked { contents: Contents::default(), harm: Vec::new(), cut_at: None };
    let name = FILES[usize::from(!is_snapshot)];
    let _ = looked.read(Path::new(name), name, bytes, None);
    let _ = looked.channels();
}
