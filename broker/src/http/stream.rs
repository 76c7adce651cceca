//! One HTTP/2 stream, which ends when its peer takes too little of its answer, whatever becomes of the others of its connection.

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

/// Serves a stream to its end, or until its peer is given up: then hyper resets it.
pub(super) async fn within_progress<F: Future>(stream: F, patience: Duration, given_up: IntCounter) {
    let progress = Arc::new(Progress::new());
    let mut stream = pin!(PROGRESS.scope(progress.clone(), stream));
    // On the heap, because most streams are never held up.
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
