//! Send guards: effects of an answer that must be undone if the answer is not sent. They are handed to the connection
//! with a frame. If the connection or the HTTP/2 stream ends before the kernel has the frame's last byte, they are
//! undone.
//!
//! hyper takes a body's frames and writes them, over HTTP/2 as far as the peer's window allows. A
//! [`super::piece::Piece`] is such a frame and tracks how much of it was written. Its last byte may then be in a buffer
//! of hyper, which the next flush empties.

use std::{
    cell::RefCell,
    sync::{Mutex, MutexGuard, PoisonError},
};

use smallvec::SmallVec;

thread_local! {
    /// Collects the guards that a body hands over while it is polled; `None` outside of [`collect`].
    static HANDED_OVER: RefCell<Option<SendGuards>> = const { RefCell::new(None) };
}

/// A guard for an effect of an answer. Dropping it before [`SendGuard::sent`] undoes the effect.
pub trait SendGuard: Send {
    /// Called when the kernel has the last byte of the frame.
    fn sent(self: Box<Self>);
}

/// The guards of one frame: nearly always none, or one for all messages of the frame.
pub(super) type SendGuards = SmallVec<[Box<dyn SendGuard>; 1]>;

/// Hands over a guard with the frame that the caller is about to return. Outside of a connection, such as in a test of
/// a handler, the frame counts as sent at once.
pub fn hold(guard: Box<dyn SendGuard>) {
    let left = HANDED_OVER.with_borrow_mut(|handed_over| match handed_over {
        Some(guards) => {
            guards.push(guard);
            None
        }
        None => Some(guard),
    });
    left.into_iter().for_each(SendGuard::sent);
}

/// Runs `act`, and collects the guards that it hands over.
pub(super) fn collect<T>(act: impl FnOnce() -> T) -> (T, SendGuards) {
    let before = HANDED_OVER.replace(Some(SendGuards::new()));
    let done = act();
    (done, HANDED_OVER.replace(before).unwrap_or_default())
}

/// The guards of frames that the connection has written completely but not flushed yet.
#[derive(Default)]
pub(super) struct Undelivered(Mutex<SendGuards>);

impl Undelivered {
    /// The kernel has all bytes of the answers written so far.
    pub(super) fn flushed(&self) {
        let guards = std::mem::take(&mut *self.lock());
        guards.into_iter().for_each(SendGuard::sent);
    }

    /// Adds the guards of a frame whose last byte was written.
    pub(super) fn written(&self, mut guards: SendGuards) {
        self.lock().append(&mut guards);
    }

    /// The connection has ended: undoes the guards that were not flushed.
    pub(super) fn lost(&self) {
        let guards = std::mem::take(&mut *self.lock());
        drop(guards);
    }

    fn lock(&self) -> MutexGuard<'_, SendGuards> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
