//! Arrival of a recorded message in its channels.

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    log::{Log, Target},
    shard::{Shard, StoredMessage},
};

impl<L: Log> Shard<L> {
    /// Keeps the body of a message that was just stored in a channel, for its next receiver.
    pub(in crate::shard) fn arrived(
        &mut self,
        Target { channel, sequence, .. }: Target,
        recorded: StoredMessage,
    ) {
        let Some(live) = self.facts.channels.get(&channel).map(|channel| &channel.live) else { return };
        self.contents.insert((channel, &live.entry.config.namespace), sequence, recorded);
        live.counters.pushed.fetch_add(1, Relaxed);
    }
}
