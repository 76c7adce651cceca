//! Spare segments, made ahead of their use by a thread of their own. Who serves never waits for it: pushes take of those that
//! are ready; when few are left, the open group waits, and not the thread.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use super::{
    helper::Helper,
    reserve::{self, Room},
    segment::{SegmentFile, make_spare},
    storage::{Storage, Volume},
};

/// Spares to have ready beside those that pushes leave: a burst takes them while others are made.
const AHEAD: usize = 2;
/// Spares to have ready when nothing is promised to anybody.
pub(super) const READY: usize = reserve::SPARES + AHEAD;
/// Freed segments are kept for use again up to this many more: recycling one costs no write, making one costs them all.
const KEPT: usize = AHEAD + 2;

/// A full disk is tried again after so many refusals: an attempt fills what room there is with zeros and removes them.
const TRY_AGAIN_AFTER: u32 = 1024;

/// The spares of a log.
pub(super) struct Spares<S: Storage> {
    ready: Vec<Arc<SegmentFile<S::File>>>,
    bytes: u64,
    maker: Helper<SpareOrder, SpareReport<S::File>>,
    /// Spares that are being made.
    ordered: usize,
    /// Whether the volume is being looked at.
    looking: bool,
    /// Tells the thread that the spares are used up faster than it makes them.
    hurry: Arc<AtomicBool>,
    next_number: u64,
    /// Spares that pushes leave.
    left: usize,
    /// How full the volume was when it was last looked at, but for what was removed since.
    volume: Option<Volume>,
    /// Bytes of segments that were removed.
    removed: u64,
    /// The last attempt to make one failed: the disk is full, until a segment is freed.
    full: bool,
    /// How often nothing could be given since.
    refused: u32,
}

/// What the thread is asked for: a spare in a file of this number, or none, and how full the volume is.
struct SpareOrder {
    make: Option<u64>,
    /// Bytes that had been removed by then.
    removed: u64,
}

/// What it has done.
struct SpareReport<F> {
    made: Option<io::Result<SegmentFile<F>>>,
    volume: Option<Volume>,
    /// As in the order.
    removed: u64,
}

impl<S: Storage> Spares<S> {
    /// Starts the thread. `ready` are the spares that are there already.
    pub(super) fn start(
        storage: S,
        bytes: u64,
        ready: Vec<SegmentFile<S::File>>,
        next_number: u64,
    ) -> io::Result<Self> {
        let hurry = Arc::new(AtomicBool::new(false));
        let hurried = hurry.clone();
        let volume = storage.volume().ok();
        let maker = Helper::start("spare-segments", move |SpareOrder { make, removed }| {
            let made = make.map(|number| make_spare(&storage, number, bytes, &hurried));
            SpareReport { made, volume: storage.volume().ok(), removed }
        })?;
        let ready = ready.into_iter().map(Arc::new).collect();
        let mut spares = Self {
            ready,
            bytes,
            maker,
            ordered: 0,
            looking: false,
            hurry,
            next_number,
            left: reserve::SPARES,
            volume,
            removed: 0,
            full: false,
            refused: 0,
        };
        spares.order();
        Ok(spares)
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether pushes need not be refused yet, because more spares are being made.
    pub(super) fn wait_for_more(&self) -> bool {
        let held = (self.left + AHEAD) as u64 * self.bytes;
        let has_room = self.volume.is_none_or(|volume| reserve::leaves_enough(volume, held, self.bytes));
        !self.full && self.ordered > 0 && has_room
    }

    /// Whether a push may take one and leave enough of the volume.
    pub(super) fn leave_enough(&self) -> bool {
        let held = self.ready.len() as u64 * self.bytes;
        self.volume.is_none_or(|volume| reserve::leaves_enough(volume, held, self.bytes))
    }

    /// So many bytes are promised to what is stored: spares are to be ready for them as well.
    pub(super) fn keep_for(&mut self, promised: u64) {
        let left = Room::spares_kept(promised, self.bytes);
        if left != self.left {
            self.left = left;
            // A start finds all that was promised before at once.
            self.hurry.store(self.ready.len() <= self.left, Relaxed);
            self.order();
        }
    }

    /// Bytes of segments that there are or could be, as far as the volume tells.
    pub(super) fn room_bytes(&self) -> Option<u64> {
        self.volume.map(|volume| volume.available + self.ready.len() as u64 * self.bytes)
    }

    /// How full the volume is, from 0 to 1, as far as it tells.
    pub(super) fn fill(&self) -> f64 {
        self.volume.map_or(0.0, reserve::fill)
    }

    /// Takes a spare. Whether it may be taken, the caller has decided.
    pub(super) fn take(&mut self) -> Option<Arc<SegmentFile<S::File>>> {
        let spare = self.ready.pop();
        // Somebody waits, or is about to.
        self.hurry.store(self.ready.len() <= self.left, Relaxed);
        self.collect();
        spare
    }

    /// Whether enough are ready for pushes, or no more are coming.
    pub(super) fn are_enough(&self) -> bool {
        self.ready.len() > self.left || self.ordered == 0 || self.full
    }

    /// Ready when [`Self::are_enough`] says so.
    pub(super) fn poll_enough(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.are_enough() {
            let filled = ready!(self.maker.poll_report(context));
            self.filled(filled);
        }
        Poll::Ready(())
    }

    /// Something found no room: the volume is looked at, and now and then it is tried whether it has some again.
    pub(super) fn refuse(&mut self) {
        self.refused += 1;
        // Somebody may have enlarged the volume, or made room on it.
        if self.refused.is_multiple_of(TRY_AGAIN_AFTER) {
            self.full = false;
        }
        if !self.looking {
            self.looking = true;
            self.maker.give(SpareOrder { make: None, removed: self.removed });
        }
    }

    /// Whether a freed segment is kept: otherwise it goes, because there are enough.
    pub(super) fn want_one(&self) -> bool {
        self.ready.len() + self.ordered < self.left + KEPT
    }

    /// A segment was freed, and is kept or gone: either way the disk has room again.
    pub(super) fn give_back(&mut self, segment: Arc<SegmentFile<S::File>>, kept: bool) {
        self.full = false;
        if kept {
            self.ready.push(segment);
        } else {
            self.removed += segment.bytes;
            self.volume = self.volume.map(|volume| with_more(volume, segment.bytes));
        }
    }

    /// The disk may have room again.
    pub(super) fn try_again(&mut self) {
        self.full = false;
        self.order();
    }

    /// Orders what is missing, unless the disk said that it is full.
    fn order(&mut self) {
        while !self.full && self.ready.len() + self.ordered < self.left + AHEAD {
            self.maker.give(SpareOrder { make: Some(self.next_number), removed: self.removed });
            self.next_number += 1;
            self.ordered += 1;
        }
    }

    /// Collects what the thread has done, and orders what is missing.
    pub(super) fn collect(&mut self) {
        while let Some(filled) = self.maker.try_report() {
            self.filled(filled);
        }
        self.order();
    }

    /// The thread has done something, or is gone.
    fn filled(&mut self, filled: Option<SpareReport<S::File>>) {
        let Some(SpareReport { made, volume, removed }) = filled else {
            (self.ordered, self.looking, self.full) = (0, false, true);
            return;
        };
        // It may have looked before something was removed.
        self.volume = volume.map(|volume| with_more(volume, self.removed - removed));
        match made {
            None => self.looking = false,
            Some(Ok(spare)) => {
                self.ordered -= 1;
                self.ready.push(Arc::new(spare));
            }
            Some(Err(error)) => {
                self.ordered -= 1;
                tracing::warn!(%error, "failed to make a segment of the log: the disk may be full");
                self.full = true;
            }
        }
    }
}

fn with_more(volume: Volume, bytes: u64) -> Volume {
    Volume { available: volume.total.min(volume.available + bytes), ..volume }
}

#[cfg(test)]
impl<S: Storage> Spares<S> {
    /// Bytes of the shortest.
    pub(super) fn shortest(&self) -> u64 {
        self.ready.iter().map(|spare| spare.bytes).min().unwrap_or(u64::MAX)
    }

    /// Waits until the thread has done all that it was asked for. Whether there are more spares then.
    pub(super) fn wait(&mut self) -> bool {
        let before = self.ready.len();
        while self.ordered > 0 || self.looking {
            let filled = crate::log::conformance::wait(|context| self.maker.poll_report(context));
            self.filled(filled);
        }
        self.ready.len() > before
    }
}
