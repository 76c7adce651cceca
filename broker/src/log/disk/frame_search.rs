//! Search for the frames of a log, in its segments or their indexes.

use std::collections::BTreeMap;

use super::{
    OpenError,
    damage::{Damage, DamageKind},
    frame,
    heads::SegmentExtent,
    index,
    recovery::{FrameRun, KeptHeads, Survey},
    segment::{HEAD_BYTES, SegmentFile},
    storage::{Storage, StorageFile},
    sweep::{SweptSegment, sweep},
};

/// Whether an index may replace reading its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indexes {
    /// Yes, if it matches the segment's head.
    Believed,
    /// No: all segments are read.
    Ignored,
}

impl<F: StorageFile> Survey<F> {
    /// Finds the frames of all segments in use.
    pub(super) fn find_frames<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        indexes: Indexes,
    ) -> Result<(), OpenError> {
        let mut frames_by_epoch = match indexes {
            Indexes::Believed => self.indexed_frames(storage),
            Indexes::Ignored => BTreeMap::new(),
        };
        let others = self.segments.values().filter(|(head, _)| !frames_by_epoch.contains_key(&head.epoch));
        let others: Vec<_> = others.map(|(head, segment)| (head, segment)).collect();
        let swept = sweep(&others).map_err(|(name, error)| OpenError::io(storage.path(), &name, error))?;
        for (epoch, SweptSegment { frames, heads, traces, partial }) in swept {
            let of_this = |(number, offset): (u64, u64)| (number, (epoch, offset));
            self.partial.extend(partial.into_iter().map(of_this));
            self.traces.insert(epoch, traces);
            let next_frame = frames.last().map_or(0, |(number, _)| number + 1);
            self.heads.extend(heads.map(|heads| (epoch, KeptHeads { heads, next_frame })));
            // An inspection needs each frame separately.
            frames_by_epoch.insert(epoch, if indexes == Indexes::Believed { runs(frames) } else { frames });
        }
        for (epoch, frames) in frames_by_epoch {
            self.replace_from(epoch);
            self.frames.extend(frames);
        }
        self.sort_out_partial();
        Ok(())
    }

    /// Fills in unreadable frames from the indexes, which a start trusts. Returns the heads of their records, by frame
    /// number.
    pub(super) fn fill_from_indexes<S: Storage<File = F>>(&mut self, storage: &S) -> BTreeMap<u64, Vec<u8>> {
        let mut filled = BTreeMap::new();
        for (epoch, runs) in self.indexed_frames(storage) {
            let (head, segment) = &self.segments[&epoch];
            let Some((_, run)) = runs.first() else { continue };
            let extent = SegmentExtent { head: *head, next_frame: run.synced, end: run.offset + run.bytes };
            let Some(heads) = index::read(storage, &segment.name, &extent) else { continue };
            let mut frames = extent.frames().zip(heads.frames()).peekable();
            while let Some((number, (first_record, heads))) = frames.next() {
                let begins = |first_record| first_record - frame::HEAD_BYTES as u64;
                let (offset, next) =
                    (begins(first_record), frames.peek().map(|(_, (first, _))| begins(*first)));
                if self.frames.get(&number).is_some_and(|found| found.epoch == epoch) {
                    continue;
                }
                let bytes = next.unwrap_or(extent.end) - offset;
                self.frames.insert(number, FrameRun { epoch, offset, bytes, synced: run.synced, frames: 1 });
                self.partial.insert(number, (epoch, offset));
                filled.insert(number, heads.to_vec());
            }
        }
        filled
    }

    /// Drops partial frames that are not known to have been on disk: such frames count only when they are whole.
    fn sort_out_partial(&mut self) {
        let frames = &self.frames;
        // A later segment may have another frame with the same number.
        self.partial.retain(|number, (epoch, offset)| {
            let run = frames.range(..=*number).next_back();
            run.is_some_and(|(first, run)| {
                let place = run.offset..run.offset + run.bytes;
                run.epoch == *epoch && *number < first + run.frames && place.contains(offset)
            })
        });
        // Their heads are intact nevertheless, and so is what they claim about earlier frames.
        self.claimed = self.known_end();
        for (number, _) in self.partial.split_off(&self.claimed) {
            let Some(FrameRun { epoch, offset, bytes, .. }) = self.frames.remove(&number) else { continue };
            self.traces.entry(epoch).or_default().push(offset..offset + bytes);
        }
    }

    /// A segment replaces the frames of earlier segments from its first number on: recovery has copied these, or they
    /// were cut off.
    ///
    /// They were not known to be on disk. A frame there that claims this about others shows that a second broker has
    /// written behind this segment's back.
    fn replace_from(&mut self, epoch: u64) {
        let first = self.segments[&epoch].0.first_frame;
        let mut void: Vec<(u64, FrameRun)> = self.frames.split_off(&first).into_iter().collect();
        if let Some((number, run)) = self.frames.last_key_value().map(|(number, run)| (*number, *run))
            && number + run.frames > first
        {
            // The run crosses the first number; only its start counts.
            self.frames.insert(number, FrameRun { frames: first - number, ..run });
            void.insert(0, (number, run));
        }
        // Keep the replaced frames' knowledge of what is on disk. Without it, frames that are known to be on disk would
        // look like a tail that may be cut off.
        if let (Some(mut last), Some(synced)) =
            (self.frames.last_entry(), void.iter().map(|(_, found)| found.synced).max())
        {
            let last = last.get_mut();
            last.synced = last.synced.max(synced.min(first));
        }
        let written: Vec<_> = void.iter().filter(|(_, found)| found.synced > first).collect();
        let (Some((number, begins)), Some((last, ends))) = (written.first(), written.last()) else { return };
        let (_, file) = &self.segments[&begins.epoch];
        self.wrong.push(Damage {
            file: file.name.clone(),
            from: begins.offset,
            to: if ends.epoch == begins.epoch { ends.offset + ends.bytes } else { file.bytes },
            frames: Some(first.max(*number)..last + ends.frames),
            what: DamageKind::TwoWriters,
        });
    }

    /// The runs of frames that indexes describe.
    ///
    /// Only for segments that later ones follow. A segment's valid part ends at the lowest first number of a later
    /// segment. An index with another end was written before that was known.
    pub(super) fn indexed_frames<S: Storage<File = F>>(
        &self,
        storage: &S,
    ) -> BTreeMap<u64, Vec<(u64, FrameRun)>> {
        let mut indexed = BTreeMap::new();
        let mut next_frame = None;
        for (epoch, (head, segment)) in self.segments.iter().rev() {
            let index = next_frame.and_then(|_| index::read_head(storage, &segment.name));
            let fits = |extent: &SegmentExtent| {
                let of_this = extent.head == *head && extent.end <= segment.bytes;
                of_this && Some(extent.next_frame) == next_frame
            };
            let extent = index.map(|index| index.extent).filter(fits);
            if let Some(extent) = extent.filter(|extent| !has_frames_after(segment, extent)) {
                let found = FrameRun {
                    epoch: *epoch,
                    offset: HEAD_BYTES,
                    bytes: extent.end - HEAD_BYTES,
                    synced: extent.next_frame,
                    frames: extent.next_frame - head.first_frame,
                };
                indexed.insert(*epoch, vec![(head.first_frame, found)]);
            }
            next_frame = Some(next_frame.unwrap_or(u64::MAX).min(head.first_frame));
        }
        indexed
    }
}

/// Whether frames follow after the indexed part. Then the whole segment must be read.
fn has_frames_after<F: StorageFile>(segment: &SegmentFile<F>, extent: &SegmentExtent) -> bool {
    let mut head = [0; frame::HEAD_BYTES];
    let has_room = extent.end + head.len() as u64 <= segment.bytes;
    has_room
        && segment.file.read_at(&mut head, extent.end).is_ok()
        && head[frame::MARK] == extent.head.mark.to_le_bytes()
}

/// Joins consecutive frames that are known to be on disk into runs: a log of millions of frames has a few thousand
/// runs. The other frames stay separate, because they may have to be copied.
fn runs(frames: Vec<(u64, FrameRun)>) -> Vec<(u64, FrameRun)> {
    let synced = frames.iter().map(|(_, found)| found.synced).max().unwrap_or(0);
    let mut runs: Vec<(u64, FrameRun)> = Vec::new();
    for (number, found) in frames {
        match runs.last_mut() {
            Some((first, run)) if number < synced && number == *first + run.frames => {
                run.frames += 1;
                run.bytes = found.offset + found.bytes - run.offset;
                run.synced = run.synced.max(found.synced);
            }
            _ => runs.push((number, found)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_frames_on_disk_are_one_run_and_no_gap_is_hidden() {
        let at = |number| FrameRun { epoch: 1, offset: number * 8, bytes: 8, synced: number - 1, frames: 1 };
        let found = [2, 3, 4, 6, 7, 8, 9].map(|number| (number, at(number)));
        let joined = runs(found.to_vec());
        let expected = [(2, 3, 16..40), (6, 2, 48..64), (8, 1, 64..72), (9, 1, 72..80)];
        let joined: Vec<_> = joined
            .iter()
            .map(|(number, run)| (*number, run.frames, run.offset..run.offset + run.bytes))
            .collect();
        assert_eq!(joined, expected);
    }
}
