//! Dead letters that move to another channel when their bodies have been read from the log.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::stream::{FuturesUnordered, Stream};

use crate::{
    channel::{Phase, Sequence},
    log::{ChannelId, Coming, Log},
    shard::{Shard, StoreFailed, dead_letter::MoveCause, ledger::read::ReadResult},
};

/// A dead letter whose body is being read.
pub(super) struct PendingMove {
    channel_id: ChannelId,
    sequence: Sequence,
    coming: Coming,
}

/// All pending moves: at most one per message, each waiting only for the disk.
pub(super) type PendingMoves = FuturesUnordered<PendingMove>;

impl Future for PendingMove {
    type Output = (ChannelId, Sequence, ReadResult);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let came = ready!(Pin::new(&mut self.coming).poll(context));
        Poll::Ready((self.channel_id, self.sequence, came))
    }
}

impl<L: Log> Shard<L> {
    /// Moves a dead letter when its body has been read.
    pub(super) fn move_later(&mut self, channel_id: ChannelId, sequence: Sequence, coming: Coming) {
        self.moves.push(PendingMove { channel_id, sequence, coming });
        self.wakers.commit.notify_one();
    }

    /// Processes news of the log. Ready if there was some, or if the log accepts the next commit.
    pub fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.poll_moves(context).is_ready() || self.poll_commits(context).is_ready() {
            return Poll::Ready(());
        }
        self.poll_may_commit(context)
    }

    /// Moves a dead letter whose body has been read. Ready if there was one.
    pub(super) fn poll_moves(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((channel_id, sequence, came)) = ready!(Pin::new(&mut self.moves).poll_next(context)) else {
            return Poll::Pending;
        };
        // A failure is remembered, and reported to the next caller.
        let _ = self.move_now(channel_id, sequence, came);
        Poll::Ready(())
    }

    fn move_now(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        came: ReadResult,
    ) -> Result<(), StoreFailed> {
        // An unreadable dead letter stays in its channel.
        let Some(recorded) = self.finish_read(channel_id, sequence, None, came)?.readable() else {
            return Ok(());
        };
        let phase = self.message(channel_id, sequence).map(|message| message.phase.clone());
        // It may have been redriven or purged meanwhile.
        if let Some(dead @ Phase::Dead(_)) = &phase
            && let Some(to) = self.dead_letter_channel(channel_id)
        {
            self.move_message(channel_id, sequence, &to, recorded, MoveCause::DeadLetter(dead))?;
        }
        Ok(())
    }
}
