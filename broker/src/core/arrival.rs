//! Arrival of a recorded message in its channels.

use std::sync::atomic::Ordering::Relaxed;

use super::{Core, StoredMessage};
use crate::log::{Log, Target};

impl<L: Log> Core<L> {
    /// Keeps the body of a message that was just stored in a channel, for its next receiver.
    pub(super) fn arrived(&mut self, Target { channel, sequence, .. }: Target, recorded: StoredMessage) {
        let Some(live) = self.facts.channels.get(&channel).map(|channel| &channel.live) else { return };
        self.contents.insert((channel, &live.entry.config.namespace), sequence, recorded);
        live.counters.pushed.fetch_add(1, Relaxed);
    }
}
