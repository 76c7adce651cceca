//! Parcels: effects of an answer that must be undone if the answer is not sent. They are handed to the connection with
//! a frame. If the connection or the HTTP/2 stream ends before the kernel has the frame's last byte, they are undone.
//!
//! hyper takes a body's frames and writes them, over HTTP/2 as far as the peer's window allows. A
//! [`super::piece::Piece`] is such a frame and tracks how much of it was taken. Its last byte may then be in a buffer
//! of hyper, which the next flush empties.

use std::{
    cell::RefCell,
    sync::{Mutex, MutexGuard, PoisonError},
};

use smallvec::SmallVec;

thread_local! {
    /// Collects the parcels that a body hands over while it is polled; `None` outside of [`collect`].
    static HANDED_OVER: RefCell<Option<Parcels>> = const { RefCell::new(None) };
}

/// An effect of an answer. Dropping it before [`Parcel::sent`] undoes the effect.
pub trait Parcel: Send {
    /// Called when the kernel has the last byte of the frame.
    fn sent(self: Box<Self>);
}

/// The parcels of one frame: nearly always none, or one for all messages of the frame.
pub(super) type Parcels = SmallVec<[Box<dyn Parcel>; 1]>;

/// Hands over a parcel with the frame that the caller is about to return. Outside of a connection, such as in a test of
/// a handler, it counts as sent at once.
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

/// Runs `act`, and collects the parcels that it hands over.
pub(super) fn collect<T>(act: impl FnOnce() -> T) -> (T, Parcels) {
    let before = HANDED_OVER.replace(Some(Parcels::new()));
    let done = act();
    (done, HANDED_OVER.replace(before).unwrap_or_default())
}

/// The parcels of frames that the connection has taken completely but not flushed yet.
#[derive(Default)]
pub(super) struct Undelivered(Mutex<Parcels>);

impl Undelivered {
    /// Everything that was taken has been written to the kernel.
    pub(super) fn flushed(&self) {
        let parcels = std::mem::take(&mut *self.lock());
        parcels.into_iter().for_each(Parcel::sent);
    }

    /// Adds the parcels of a frame whose last byte was taken.
    pub(super) fn taken(&self, mut parcels: Parcels) {
        self.lock().append(&mut parcels);
    }

    /// The connection has ended: undoes the parcels that were not flushed.
    pub(super) fn lost(&self) {
        let parcels = std::mem::take(&mut *self.lock());
        drop(parcels);
    }

    fn lock(&self) -> MutexGuard<'_, Parcels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
