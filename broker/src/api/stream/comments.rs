//! Comments between Server-Sent Events, which show the receiver and its proxies that the stream is alive.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::{Instant, Sleep, sleep};

use crate::api::print::{self, Messages, Printer, Stopped};

const COMMENT: &[u8] = b":\n\n";
/// The end of an event.
const END: &[u8] = b"\n\n";

/// A stream of events with comments in pauses.
struct WithComments<S> {
    events: Pin<Box<S>>,
    every: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether the last piece ended an event.
    between: bool,
}

/// The pieces of events, and a comment whenever no piece came for the time `every`.
pub(super) fn with_comments(
    every: Duration,
    events: impl Messages,
    printer: Printer,
) -> impl Stream<Item = Result<Bytes, Stopped>> + Send {
    let events = stream::try_unfold((events, printer), async |(mut events, mut printer)| {
        let piece = print::next_piece(&mut printer, &mut events).await?;
        Ok(piece.map(|piece| (print::sent(piece), (events, printer))))
    });
    WithComments { events: Box::pin(events), every, timer: Box::pin(sleep(every)), between: true }
}

impl<S: Stream<Item = Result<Bytes, Stopped>>> Stream for WithComments<S> {
    type Item = Result<Bytes, Stopped>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Instant::now() + self.every;
        if let Poll::Ready(event) = self.events.as_mut().poll_next(context) {
            if let Some(Ok(bytes)) = &event {
                self.between = bytes.ends_with(END);
            }
            self.timer.as_mut().reset(next);
            return Poll::Ready(event);
        }
        // Inside an event a comment would become a part of it.
        if !self.between || self.timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.timer.as_mut().reset(next);
        Poll::Ready(Some(Ok(Bytes::from_static(COMMENT))))
    }
}
