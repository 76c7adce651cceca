//! What was handed to a connection and has not left yet: when the connection or the HTTP/2 stream ends before the last byte
//! went to the kernel, it is undone.
//!
//! hyper takes a body's frames and writes them, over HTTP/2 as far as the peer's window lets it. A [`super::piece::Piece`] is such a frame
//! and knows how much of it was taken. Its last byte may be in a buffer of hyper's then, which the next flush empties.

use std::{
    cell::RefCell,
    sync::{Mutex, MutexGuard, PoisonError},
};

use smallvec::SmallVec;

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
pub(super) type Parcels = SmallVec<[Box<dyn Parcel>; 1]>;

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
    let before = HANDED_OVER.replace(Some(Parcels::new()));
    let done = act();
    (done, HANDED_OVER.replace(before).unwrap_or_default())
}

/// What one connection has taken whole and not flushed yet.
#[derive(Default)]
pub(super) struct Undelivered(Mutex<Parcels>);

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

    /// The connection has ended: what was not flushed is undone.
    pub(super) fn lost(&self) {
        let parcels = std::mem::take(&mut *self.lock());
        drop(parcels);
    }

    fn lock(&self) -> MutexGuard<'_, Parcels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
