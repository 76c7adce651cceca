//! Spare segments, made ahead of their use by a thread of their own.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
};

use super::{
    helper::Joined,
    segment::{SegmentFile, make_spare},
    storage::Storage,
};

/// Spares that only what empties the log may take: settles, leases, and copies of what is live.
pub(super) const RESERVE: usize = 2;
/// Spares to have ready: the reserve and the next segment of pushes.
const READY: usize = RESERVE + 1;
/// Freed segments are kept for use again up to this many spares: recycling one costs no write, making one costs them all.
const KEPT: usize = READY + 2;

/// A full disk is tried again after so many refusals: an attempt fills what room there is with zeros and removes them.
const TRY_AGAIN_AFTER: u32 = 1024;

/// The spares of a log.
pub(super) struct Spares<S: Storage> {
    ready: Vec<Arc<SegmentFile<S::File>>>,
    /// Numbers of files that the maker is asked to make.
    orders: Sender<u64>,
    made: Receiver<io::Result<SegmentFile<S::File>>>,
    /// Dropped after both ends of its channels, so that it has nothing more to do.
    _maker: Joined,
    ordered: usize,
    next_number: u64,
    /// The last attempt to make one failed: the disk is full, until a segment is freed.
    full: bool,
    /// How often nothing could be given since.
    refused: u32,
}

impl<S: Storage> Spares<S> {
    /// Starts the thread. `ready` are the spares that are there already.
    pub(super) fn start(
        storage: S,
        bytes: u64,
        ready: Vec<SegmentFile<S::File>>,
        next_number: u64,
    ) -> io::Result<Self> {
        let (orders, to_make) = mpsc::channel();
        let (sender, made) = mpsc::channel();
        let _maker = Joined::start("spare-segments", move || {
            for number in to_make {
                if sender.send(make_spare(&storage, number, bytes)).is_err() {
                    return;
                }
            }
        })?;
        let ready = ready.into_iter().map(Arc::new).collect();
        let mut spares =
            Self { ready, orders, made, _maker, ordered: 0, next_number, full: false, refused: 0 };
        spares.order();
        Ok(spares)
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether the disk is full and only the reserve is left.
    pub(super) fn are_scarce(&self) -> bool {
        self.full && self.ready.len() <= RESERVE
    }

    /// Takes a spare; `None` when there is none to be had. Waits for one that is being made: that is the rare case of a
    /// burst that fills a segment faster than the disk writes one.
    pub(super) fn take(&mut self, reserved: bool) -> Option<Arc<SegmentFile<S::File>>> {
        let keep = if reserved { 0 } else { RESERVE };
        self.collect(false);
        self.order();
        while self.ready.len() <= keep && self.ordered > 0 {
            self.collect(true);
        }
        if self.ready.len() <= keep {
            self.refused += 1;
            // Somebody may have enlarged the volume.
            if self.refused.is_multiple_of(TRY_AGAIN_AFTER) {
                self.full = false;
            }
            return None;
        }
        let spare = self.ready.pop();
        self.order();
        spare
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
            if self.orders.send(self.next_number).is_err() {
                return;
            }
            self.next_number += 1;
            self.ordered += 1;
        }
    }

    /// Collects what the thread has made; `wait` for at least one.
    fn collect(&mut self, wait: bool) {
        let mut wait = wait;
        while self.ordered > 0 {
            let made = if wait {
                self.made.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.made.try_recv()
            };
            wait = false;
            match made {
                Ok(made) => {
                    self.ordered -= 1;
                    match made {
                        Ok(spare) => self.ready.push(Arc::new(spare)),
                        Err(error) => {
                            tracing::warn!(%error, "failed to make a segment of the log: the disk may be full");
                            self.full = true;
                        }
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.ordered = 0;
                    self.full = true;
                }
            }
        }
    }
}
