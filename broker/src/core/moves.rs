//! Dead letters that go to another channel as soon as their contents have come from the log.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::stream::{FuturesUnordered, Stream};

use super::{Core, StoreFailed, bury::Moved, read::Came};
use crate::{
    channel::{Phase, Sequence},
    log::{Coming, Log},
};

/// A dead letter whose content is on its way.
pub(super) struct Move {
    number: u32,
    sequence: Sequence,
    coming: Coming,
}

/// All of them. As many as there are messages at most, and each waits for a disk and nothing else.
pub(super) type Moves = FuturesUnordered<Move>;

impl Future for Move {
    type Output = (u32, Sequence, Came);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let came = ready!(Pin::new(&mut self.coming).poll(context));
        Poll::Ready((self.number, self.sequence, came))
    }
}

impl<L: Log> Core<L> {
    /// A dead letter goes on when its content has come.
    pub(super) fn move_later(&mut self, number: u32, sequence: Sequence, coming: Coming) {
        self.moves.push(Move { number, sequence, coming });
        self.wakers.commit.notify_one();
    }

    /// Sees to what the log has done meanwhile. Ready when it was something, or when the log takes what is to be committed.
    pub fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.poll_moves(context).is_ready() || self.poll_commits(context).is_ready() {
            return Poll::Ready(());
        }
        self.poll_may_commit(context)
    }

    /// Moves a dead letter whose content has come. Ready when there was one.
    pub(super) fn poll_moves(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((number, sequence, came)) = ready!(Pin::new(&mut self.moves).poll_next(context)) else {
            return Poll::Pending;
        };
        // A failure is remembered, and whoever asks next is told.
        let _ = self.move_now(number, sequence, came);
        Poll::Ready(())
    }

    fn move_now(&mut self, number: u32, sequence: Sequence, came: Came) -> Result<(), StoreFailed> {
        // A dead letter that cannot be read stays where it is.
        let Some(recorded) = self.came_of(number, sequence, None, came)?.whole() else { return Ok(()) };
        let message = self.channels.get(&number).and_then(|channel| channel.state.message(sequence));
        // Somebody may have redriven or purged it meanwhile.
        let is_dead = message.is_some_and(|message| matches!(message.phase, Phase::Dead(_)));
        if let Some(to) = self.dead_letter_channel(number).filter(|_| is_dead) {
            self.move_message(number, sequence, &to, recorded, Moved::GivenUp)?;
        }
        Ok(())
    }
}
