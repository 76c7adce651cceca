//! Serves one HTTP/2 stream, which ends if its peer reads its answer too slowly, independently of other streams of the
//! connection.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use prometheus::IntCounter;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{progress::Progress, requests::PROGRESS};

/// Serves a stream until it ends, or until the peer times out: then hyper resets the stream.
pub(super) async fn within_progress<F: Future>(stream: F, patience: Duration, given_up: IntCounter) {
    let progress = Arc::new(Progress::new());
    let mut stream = pin!(PROGRESS.scope(progress.clone(), stream));
    // On the heap, because most streams never need it.
    let mut timer: Option<std::pin::Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let Some(ends_at) = progress.ends_at(patience) else { return Poll::Pending };
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(ends_at)));
            if ends_at < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(ends_at);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= ends_at {
                given_up.inc();
                return Poll::Ready(());
            }
        }
    })
    .await;
}
