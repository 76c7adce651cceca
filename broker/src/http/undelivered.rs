//! What was handed to a connection and has not left yet: when the connection or the HTTP/2 stream ends before the last byte
//! went to the kernel, it is undone.
//!
//! hyper takes a body's frames and writes them, over HTTP/2 as far as the peer's window lets it. A [`Piece`] is such a frame
//! and knows how much of it was taken. Its last byte may be in a buffer of hyper's then, which the next flush empties.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf, Bytes};

use super::progress::Progress;

thread_local! {
    /// What bodies hand over while they are asked for their next frame; none, when nobody asks.
    static HANDED_OVER: RefCell<Option<Parcels>> = const { RefCell::new(None) };
}

/// Something that must be known to have been sent. Dropped, it is undone.
pub trait Parcel: Send {
    /// Its last byte went to the kernel.
    fn sent(self: Box<Self>);
}

/// What leaves with one frame: nearly always nothing, or all that the frame's messages are to become.
pub(super) type Parcels = Vec<Box<dyn Parcel>>;

/// Hands something over with the frame that the caller is about to return. Outside of a connection, as in a test of a handler
/// alone, nothing can be lost.
pub fn hold(parcel: Box<dyn Parcel>) {
    let left = HANDED_OVER.with_borrow_mut(|handed_over| match handed_over {
        Some(parcels) => {
            parcels.push(parcel);
            None
        }
        None => Some(parcel),
    });
    left.into_iter().for_each(Parcel::sent);
}

/// Does something, and collects what it hands over.
pub(super) fn collect<T>(act: impl FnOnce() -> T) -> (T, Parcels) {
    let before = HANDED_OVER.replace(Some(Vec::new()));
    let done = act();
    (done, HANDED_OVER.replace(before).unwrap_or_default())
}

/// What one connection has taken whole and not flushed yet.
#[derive(Clone, Default)]
pub(super) struct Undelivered(Arc<Mutex<Parcels>>);

impl Undelivered {
    /// Everything that was taken has been written.
    pub(super) fn flushed(&self) {
        let parcels = std::mem::take(&mut *self.lock());
        parcels.into_iter().for_each(Parcel::sent);
    }

    /// The last byte of these was taken.
    pub(super) fn taken(&self, mut parcels: Parcels) {
        self.lock().append(&mut parcels);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parcels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of an answer on their way, with what leaves with them.
pub(super) struct Piece {
    bytes: Bytes,
    parcels: Parcels,
    undelivered: Undelivered,
    progress: Option<Arc<Progress>>,
}

impl Piece {
    /// A frame of an answer.
    pub(super) fn new(
        bytes: Bytes,
        parcels: Parcels,
        undelivered: &Undelivered,
        progress: Option<Arc<Progress>>,
    ) -> Self {
        let piece = Self { bytes, parcels, undelivered: undelivered.clone(), progress };
        if piece.bytes.is_empty() { piece.emptied() } else { piece }
    }

    fn emptied(mut self) -> Self {
        self.leave();
        self
    }

    fn leave(&mut self) {
        if !self.parcels.is_empty() {
            self.undelivered.taken(std::mem::take(&mut self.parcels));
        }
        // What they were a part of may be large.
        self.bytes = Bytes::new();
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = &self.progress {
            progress.took(count);
        }
        if self.bytes.is_empty() {
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[derive(Clone, Default)]
    struct Outcomes {
        sent: Arc<AtomicUsize>,
        undone: Arc<AtomicUsize>,
    }

    struct Counted(Option<Outcomes>);

    impl Parcel for Counted {
        fn sent(mut self: Box<Self>) {
            self.0.take().unwrap().sent.fetch_add(1, Relaxed);
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.take().inspect(|outcomes| _ = outcomes.undone.fetch_add(1, Relaxed));
        }
    }

    impl Outcomes {
        fn piece(&self, undelivered: &Undelivered) -> Piece {
            let ((), parcels) = collect(|| hold(Box::new(Counted(Some(self.clone())))));
            Piece::new(Bytes::from_static(b"seven"), parcels, undelivered, None)
        }

        fn counts(&self) -> (usize, usize) {
            (self.sent.load(Relaxed), self.undone.load(Relaxed))
        }
    }

    #[test]
    fn a_piece_whose_last_byte_was_taken_is_sent_with_the_next_flush() {
        let (outcomes, undelivered) = (Outcomes::default(), Undelivered::default());
        let mut piece = outcomes.piece(&undelivered);
        piece.advance(5);
        assert_eq!(outcomes.counts(), (0, 0));
        undelivered.flushed();
        assert_eq!(outcomes.counts(), (1, 0));
    }

    #[test]
    fn a_flush_says_nothing_of_a_piece_that_is_not_taken_whole() {
        let (outcomes, undelivered) = (Outcomes::default(), Undelivered::default());
        let mut piece = outcomes.piece(&undelivered);
        piece.advance(4);
        undelivered.flushed();
        drop(piece);
        assert_eq!(outcomes.counts(), (0, 1));
    }

    #[test]
    fn what_was_taken_and_not_flushed_when_the_connection_ends_is_undone() {
        let (outcomes, undelivered) = (Outcomes::default(), Undelivered::default());
        outcomes.piece(&undelivered).advance(5);
        drop(undelivered);
        assert_eq!(outcomes.counts(), (0, 1));
    }

    #[test]
    fn without_a_connection_a_parcel_counts_as_sent() {
        let outcomes = Outcomes::default();
        hold(Box::new(Counted(Some(outcomes.clone()))));
        assert_eq!(outcomes.counts(), (1, 0));
    }
}
