//! What was handed to a connection and has not left yet: when the connection ends before the last byte went to the kernel,
//! it is undone.
//!
//! hyper takes a body's frames into buffers of its own, writes them, and flushes when nothing is left in them. So what
//! was taken before a flush has been written when the flush is asked for. On HTTP/2 a flush may come while a stream's end
//! still waits for the receiver's window: there, what is lost with the connection costs a delivery and its lease, as what
//! the network loses does.

use std::sync::{Arc, Mutex, PoisonError};

tokio::task_local! {
    /// The outbox of the connection that this task serves.
    static OUTBOX: Outbox;
}

/// Something that must be known to have been sent. Dropped, it is undone.
pub trait Parcel: Send {
    /// Its last byte went to the kernel.
    fn sent(self: Box<Self>);
}

/// What one connection has not sent yet.
#[derive(Clone, Default)]
pub(super) struct Outbox(Arc<Mutex<Vec<Box<dyn Parcel>>>>);

impl Outbox {
    /// Runs a part of the connection: what it hands over goes into this outbox.
    pub(super) fn scope<F: Future>(&self, part: F) -> impl Future<Output = F::Output> + use<F> {
        OUTBOX.scope(self.clone(), part)
    }

    /// Everything that was handed over has been written.
    pub(super) fn flushed(&self) {
        let parcels = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        parcels.into_iter().for_each(Parcel::sent);
    }
}

/// Hands something over with bytes that the connection of this task takes at this moment. Outside of one, as in a test of a
/// handler alone, nothing can be lost.
pub fn hold(parcel: Box<dyn Parcel>) {
    let outbox = OUTBOX.try_with(Outbox::clone);
    match outbox {
        Ok(Outbox(parcels)) => parcels.lock().unwrap_or_else(PoisonError::into_inner).push(parcel),
        Err(_) => parcel.sent(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    struct Counted {
        sent: bool,
        undone: Arc<AtomicUsize>,
    }

    impl Parcel for Counted {
        fn sent(mut self: Box<Self>) {
            self.sent = true;
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.undone.fetch_add(usize::from(!self.sent), Relaxed);
        }
    }

    #[tokio::test]
    async fn what_was_not_flushed_when_the_connection_ends_is_undone() {
        let undone = Arc::new(AtomicUsize::new(0));
        let parcel = || Box::new(Counted { sent: false, undone: undone.clone() });
        let outbox = Outbox::default();
        outbox.scope(async { hold(parcel()) }).await;
        outbox.flushed();
        outbox.scope(async { hold(parcel()) }).await;
        assert_eq!(undone.load(Relaxed), 0);
        drop(outbox);
        assert_eq!(undone.load(Relaxed), 1);
        hold(parcel());
        assert_eq!(undone.load(Relaxed), 1, "there is no connection");
    }
}
