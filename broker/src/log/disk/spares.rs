//! Spare segments, which a separate thread makes ahead of their use. Worker threads never wait for it. Pushes use ready
//! spares; if few are left, the open batch waits in memory.

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

/// Additional ready spares, beside the reserve that pushes leave: a burst uses them while others are made.
const AHEAD: usize = 2;
/// Ready spares when no bytes are promised.
pub(super) const READY: usize = reserve::SPARES + AHEAD;
/// Freed segments are kept up to this number of additional spares: recycling one needs no writes, making one writes all
/// of it.
const KEPT: usize = AHEAD + 2;

/// Number of refusals before a full disk is tried again: an attempt fills the remaining room with zeros and removes
/// them.
const TRY_AGAIN_AFTER: u32 = 1024;

pub(super) struct Spares<S: Storage> {
    ready: Vec<Arc<SegmentFile<S::File>>>,
    bytes: u64,
    maker: Helper<SpareOrder, SpareReport<S::File>>,
    /// Number of spares that are being made.
    ordered: usize,
    /// Whether the thread is checking the volume.
    looking: bool,
    /// Tells the thread that spares are used faster than it makes them.
    hurry: Arc<AtomicBool>,
    next_number: u64,
    /// Number of spares that pushes leave.
    left: usize,
    /// The volume's state at the last check, plus the bytes removed since.
    volume: Option<Volume>,
    /// Total bytes of removed segments.
    removed: u64,
    /// Whether the last attempt to make a spare failed: the disk counts as full until a segment is freed.
    full: bool,
    /// Number of refusals since.
    refused: u32,
}

/// An order for the thread: a spare with this file number, if any, and a check of the volume.
struct SpareOrder {
    make: Option<u64>,
    /// Bytes removed before the order.
    removed: u64,
}

struct SpareReport<F> {
    made: Option<io::Result<SegmentFile<F>>>,
    volume: Option<Volume>,
    /// Copied from the order.
    removed: u64,
}

impl<S: Storage> Spares<S> {
    /// Starts the thread. `ready` are the existing spares.
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

    /// Whether more spares are coming, so that pushes need not be refused yet.
    pub(super) fn wait_for_more(&self) -> bool {
        let held = (self.left + AHEAD) as u64 * self.bytes;
        let has_room = self.volume.is_none_or(|volume| reserve::leaves_enough(volume, held, self.bytes));
        !self.full && self.ordered > 0 && has_room
    }

    /// Whether a push may use a spare and leave enough of the volume.
    pub(super) fn leave_enough(&self) -> bool {
        let held = self.ready.len() as u64 * self.bytes;
        self.volume.is_none_or(|volume| reserve::leaves_enough(volume, held, self.bytes))
    }

    /// Adjusts the number of ready spares to the promised bytes.
    pub(super) fn keep_for(&mut self, promised: u64) {
        let left = Room::spares_kept(promised, self.bytes);
        if left != self.left {
            self.left = left;
            // At a start, all promises arrive at once.
            self.hurry.store(self.ready.len() <= self.left, Relaxed);
            self.order();
        }
    }

    /// Bytes of ready spares and of free space on the volume, if that is known.
    pub(super) fn room_bytes(&self) -> Option<u64> {
        self.volume.map(|volume| volume.available + self.ready.len() as u64 * self.bytes)
    }

    /// How full the volume is, from 0 to 1, if that is known.
    pub(super) fn fill(&self) -> f64 {
        self.volume.map_or(0.0, reserve::fill)
    }

    /// Takes a spare. The caller has checked whether it may.
    pub(super) fn take(&mut self) -> Option<Arc<SegmentFile<S::File>>> {
        let spare = self.ready.pop();
        // A batch waits for more spares, or will soon.
        self.hurry.store(self.ready.len() <= self.left, Relaxed);
        self.collect();
        spare
    }

    /// Whether enough spares are ready for pushes, or no more are coming.
    pub(super) fn has_enough(&self) -> bool {
        self.ready.len() > self.left || self.ordered == 0 || self.full
    }

    /// Ready when [`Self::has_enough`] is true.
    pub(super) fn poll_enough(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.has_enough() {
            let filled = ready!(self.maker.poll_report(context));
            self.filled(filled);
        }
        Poll::Ready(())
    }

    /// Handles a refusal: checks the volume, and sometimes tries again to make a spare.
    pub(super) fn refuse(&mut self) {
        self.refused += 1;
        // The volume may have been enlarged, or space may have been freed.
        if self.refused.is_multiple_of(TRY_AGAIN_AFTER) {
            self.full = false;
        }
        if !self.looking {
            self.looking = true;
            self.maker.give(SpareOrder { make: None, removed: self.removed });
        }
    }

    /// Whether to keep a freed segment as a spare, instead of removing it.
    pub(super) fn keeps_freed(&self) -> bool {
        self.ready.len() + self.ordered < self.left + KEPT
    }

    /// Returns a freed segment, which is kept or removed. Either way the disk has room again.
    pub(super) fn give_back(&mut self, segment: Arc<SegmentFile<S::File>>, kept: bool) {
        self.full = false;
        if kept {
            self.ready.push(segment);
        } else {
            self.removed += segment.bytes;
            self.volume = self.volume.map(|volume| with_more(volume, segment.bytes));
        }
    }

    /// Tries again to make spares, because the disk may have room again.
    pub(super) fn try_again(&mut self) {
        self.full = false;
        self.order();
    }

    /// Orders missing spares, unless the disk is full.
    fn order(&mut self) {
        while !self.full && self.ready.len() + self.ordered < self.left + AHEAD {
            self.maker.give(SpareOrder { make: Some(self.next_number), removed: self.removed });
            self.next_number += 1;
            self.ordered += 1;
        }
    }

    /// Collects the thread's reports, and orders missing spares.
    pub(super) fn collect(&mut self) {
        while let Some(filled) = self.maker.try_report() {
            self.filled(filled);
        }
        self.order();
    }

    /// Handles a report; nothing if the thread is gone.
    fn filled(&mut self, filled: Option<SpareReport<S::File>>) {
        let Some(SpareReport { made, volume, removed }) = filled else {
            (self.ordered, self.looking, self.full) = (0, false, true);
            return;
        };
        // The check may have preceded a removal.
        self.volume = volume.map(|volume| with_more(volume, self.removed - removed));
        match made {
            None => self.looking = false,
            Some(Ok(spare)) => {
                self.ordered -= 1;
                self.ready.push(Arc::new(spare));
            }
            Some(Err(error)) => {
                self.ordered -= 1;
                tracing::warn!(%error, "cannot create a segment of the log: the disk may be full");
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
    /// Bytes of the shortest spare.
    pub(super) fn shortest(&self) -> u64 {
        self.ready.iter().map(|spare| spare.bytes).min().unwrap_or(u64::MAX)
    }

    /// Waits until the thread has performed all orders. Returns whether there are more spares than before.
    pub(super) fn wait(&mut self) -> bool {
        let before = self.ready.len();
        while self.ordered > 0 || self.looking {
            let filled = crate::log::conformance::wait(|context| self.maker.poll_report(context));
            self.filled(filled);
        }
        self.ready.len() > before
    }
}
