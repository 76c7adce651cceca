//! Spare segments, made ahead of their use by a thread of their own. Who serves never waits for it: pushes take of the
//! reserve while a spare is being made; then the open group waits, and not the thread.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use super::{
    helper::Helper,
    reserve::{self, Room},
    segment::{SegmentFile, make_spare},
    storage::{Storage, Volume},
};

/// Spares to have ready: the reserve and the next segment of pushes.
const READY: usize = reserve::SPARES + 1;
/// Freed segments are kept for use again up to this many spares: recycling one costs no write, making one costs them all.
const KEPT: usize = READY + 2;

/// A full disk is tried again after so many refusals: an attempt fills what room there is with zeros and removes them.
const TRY_AGAIN_AFTER: u32 = 1024;

/// The spares of a log.
pub(super) struct Spares<S: Storage> {
    ready: Vec<Arc<SegmentFile<S::File>>>,
    bytes: u64,
    maker: Helper<Order, Filled<S::File>>,
    /// Spares that are being made.
    ordered: usize,
    /// Whether the volume is being looked at.
    looking: bool,
    /// Tells the thread that the spares are used up faster than it makes them.
    hurry: Arc<AtomicBool>,
    next_number: u64,
    /// How full the volume was when it was last looked at, but for what was removed since.
    volume: Option<Volume>,
    /// Bytes of segments that were removed.
    removed: u64,
    /// The last attempt to make one failed: the disk is full, until a segment is freed.
    full: bool,
    /// How often nothing could be given since.
    refused: u32,
}

/// A spare for whoever asks for one.
pub(super) enum Taken<F> {
    /// Here it is.
    Spare(Arc<SegmentFile<F>>),
    /// One is being made.
    Soon,
    /// There is none to be had.
    None,
}

/// What the thread is asked for: a spare in a file of this number, or none, and how full the volume is.
struct Order {
    make: Option<u64>,
    /// Bytes that had been removed by then.
    removed: u64,
}

/// What it has done.
struct Filled<F> {
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
        let maker = Helper::start("spare-segments", move |Order { make, removed }| {
            let made = make.map(|number| make_spare(&storage, number, bytes, &hurried));
            Filled { made, volume: storage.volume().ok(), removed }
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

    /// Whether pushes are refused, because the rest is for what empties the log.
    pub(super) fn are_scarce(&self) -> bool {
        let waits_for_more = !self.full && self.ordered > 0 && self.has_room_for_one_more();
        !waits_for_more && !reserve::leaves_enough(self.room())
    }

    /// Bytes of segments that there are or could be, as far as the volume tells.
    pub(super) fn room_bytes(&self) -> Option<u64> {
        self.volume.map(|volume| volume.available + self.ready.len() as u64 * self.bytes)
    }

    /// How full the volume is, from 0 to 1, as far as it tells.
    pub(super) fn fill(&self) -> f64 {
        self.volume.map_or(0.0, reserve::fill)
    }

    /// Takes a spare; only what empties the log may take all of the reserve.
    pub(super) fn take(&mut self, reserved: bool) -> Taken<S::File> {
        self.collect();
        self.order();
        let may_take = if reserved { !self.ready.is_empty() } else { reserve::leaves_enough(self.room()) };
        let may_wait = self.ordered > 0 && !self.full && (reserved || self.has_room_for_one_more());
        // Somebody waits, or is about to.
        self.hurry.store(self.ready.len() < reserve::SPARES, Relaxed);
        match self.ready.pop_if(|_| may_take) {
            Some(spare) => {
                self.order();
                Taken::Spare(spare)
            }
            None if may_wait => Taken::Soon,
            None => {
                self.refuse();
                Taken::None
            }
        }
    }

    /// Takes a spare for whom one was being made. None when there is none after all, because the disk is full.
    pub(super) fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Option<Arc<SegmentFile<S::File>>>> {
        loop {
            if !self.ready.is_empty() && (reserve::leaves_enough(self.room()) || self.full) {
                let spare = self.ready.pop();
                self.order();
                return Poll::Ready(spare);
            }
            self.order();
            if self.ordered == 0 {
                return Poll::Ready(self.ready.pop());
            }
            match self.maker.poll_report(context) {
                Poll::Ready(filled) => self.filled(filled),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn refuse(&mut self) {
        self.refused += 1;
        // Somebody may have enlarged the volume, or made room on it.
        if self.refused.is_multiple_of(TRY_AGAIN_AFTER) {
            self.full = false;
        }
        if !self.looking {
            self.looking = true;
            self.maker.give(Order { make: None, removed: self.removed });
        }
    }

    fn room(&self) -> Room {
        let Self { ready, bytes, volume, full, .. } = self;
        Room { ready: ready.len(), more: !full, segment: *bytes, volume: *volume }
    }

    /// Whether pushes could go on if one more spare were ready.
    fn has_room_for_one_more(&self) -> bool {
        reserve::leaves_enough(Room { ready: READY, ..self.room() })
    }

    /// Whether none is there and none is being made.
    pub(super) fn are_over(&self) -> bool {
        self.ready.is_empty() && self.ordered == 0
    }

    /// Nobody needs it after all.
    pub(super) fn put_back(&mut self, spare: Arc<SegmentFile<S::File>>) {
        self.ready.push(spare);
    }

    /// Whether a freed segment is kept: otherwise it goes, because there are enough.
    pub(super) fn want_one(&self) -> bool {
        self.ready.len() + self.ordered < KEPT
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
        while !self.full && self.ready.len() + self.ordered < READY {
            self.maker.give(Order { make: Some(self.next_number), removed: self.removed });
            self.next_number += 1;
            self.ordered += 1;
        }
    }

    /// Collects what the thread has done.
    fn collect(&mut self) {
        while let Some(filled) = self.maker.try_report() {
            self.filled(filled);
        }
    }

    /// The thread has done something, or is gone.
    fn filled(&mut self, filled: Option<Filled<S::File>>) {
        let Some(Filled { made, volume, removed }) = filled else {
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
