//! Pushes from any thread: to the shard of the first channel, once the channels of other shards have admitted them.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    address_store::ChannelEntry,
    log::{ChannelId, Log},
    shard::{Push, PushRefusal, Pushed, SenderTurn, StoreFailed, Undecided},
    worker::Router,
};

impl<L: Log> Router<L> {
    /// Stores a message in all of the channels or in none, through the shard of the first: see [`Shard::push`].
    pub async fn push(
        &self,
        entries: &Vec<Arc<ChannelEntry>>,
        mut push: Push,
        turn: Option<SenderTurn>,
    ) -> Result<Pushed, PushRefusal> {
        if self.are_apart(entries)
            // Boxed, like the reads below: few requests need it, and every request would reserve room for it.
            && let Some(answered) = Box::pin(self.admitted_elsewhere(entries, &mut push, turn)).await?
        {
            return Ok(answered);
        }
        let first = entries[0].id;
        loop {
            let tried = self.ask(first, entries, move |shard, entries| shard.try_push(entries, push, turn));
            match tried.await? {
                Ok(done) => return done,
                Err(undecided) => push = Box::pin(self.read_for(first, *undecided)).await?,
            }
        }
    }

    /// Stores messages independently of each other, in one turn of the shard unless records of keys must be read.
    pub async fn push_all(
        &self,
        entries: &Vec<Arc<ChannelEntry>>,
        pushes: Vec<Push>,
    ) -> Result<Vec<Result<Pushed, PushRefusal>>, PushRefusal> {
        let mut all = Vec::with_capacity(pushes.len());
        let mut left = VecDeque::from(pushes);
        if self.are_apart(entries) {
            for push in left {
                all.push(self.push(entries, push, None).await);
            }
            return Ok(all);
        }
        let first = entries[0].id;
        while !left.is_empty() {
            let tried = self.ask(first, entries, move |shard, entries| {
                let mut done = Vec::with_capacity(left.len());
                while let Some(push) = left.pop_front() {
                    match shard.try_push(entries, push, None) {
                        Ok(outcome) => done.push(outcome),
                        Err(undecided) => return (done, left, Some(undecided)),
                    }
                }
                (done, left, None)
            });
            let (done, rest, undecided) = tried.await?;
            all.extend(done);
            left = rest;
            if let Some(undecided) = undecided {
                left.push_front(self.read_for(first, *undecided).await?);
            }
        }
        Ok(all)
    }

    /// Reads the missing record of a push's key.
    async fn read_for(&self, first: ChannelId, undecided: Undecided) -> Result<Push, StoreFailed> {
        let Undecided { mut push, position, mut coming } = undecided;
        push.key_records.push(self.read_key_record(first, position, &mut coming).await?);
        Ok(push)
    }

    /// Asks the channels of other shards to admit a message, unless its key has an answer already.
    async fn admitted_elsewhere(
        &self,
        entries: &[Arc<ChannelEntry>],
        push: &mut Push,
        turn: Option<SenderTurn>,
    ) -> Result<Option<Pushed>, PushRefusal> {
        let first = entries[0].id;
        loop {
            let asked = (entries.to_vec(), push.clone());
            let known = self.ask(first, &asked, move |shard, (entries, push)| {
                match shard.unread_key_record(push)? {
                    Some(unread) => Ok::<_, PushRefusal>(Err(unread)),
                    None => match shard.replayed(entries, push, turn)? {
                        Some(answered) => Ok(Ok(Some(answered))),
                        None => shard.check_size(entries, push).map(|()| Ok(None)),
                    },
                }
            });
            match known.await?? {
                Ok(Some(answered)) => return Ok(Some(answered)),
                Ok(None) => break,
                Err((position, mut coming)) => {
                    push.key_records.push(self.read_key_record(first, position, &mut coming).await?);
                }
            }
        }
        let bytes = push.content.bytes() as u64;
        for entry in entries.iter().filter(|entry| self.shard_of(entry.id) != self.shard_of(first)) {
            let admitted =
                self.ask(entry.id, entry, move |shard, entry| shard.admit_remote(entry, bytes, turn));
            admitted.await??;
        }
        Ok(None)
    }

    /// Whether the channels belong to several shards.
    fn are_apart(&self, entries: &[Arc<ChannelEntry>]) -> bool {
        entries.iter().any(|entry| self.shard_of(entry.id) != self.shard_of(entries[0].id))
    }
}
