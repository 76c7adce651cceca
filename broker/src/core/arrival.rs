//! Arrival of an appended message in its channels.

use std::sync::atomic::Ordering::Relaxed;

use super::{Core, StoredMessage, records};
use crate::{
    channel::{GroupName, LeaseCounts, Message, Stored},
    clock::Millis,
    log::{Log, Target},
};

/// The data that each of its channels gets.
#[derive(Clone)]
pub(super) struct NewMessage {
    pub(super) stored: Stored,
    pub(super) recorded: StoredMessage,
    pub(super) group: Option<GroupName>,
    pub(super) due_ms: Option<Millis>,
}

impl<L: Log> Core<L> {
    /// Stores a message in one of its channels, which exists.
    pub(super) fn arrive(&mut self, target: Target, arrived: NewMessage) {
        let Target { channel: channel_id, sequence, expires_ms } = target;
        let NewMessage { stored, recorded, group, due_ms } = arrived;
        let Some(channel) = self.channels.get_mut(&channel_id) else { return };
        self.contents.insert((channel_id, &channel.entry.config.namespace), sequence, recorded);
        channel.counters.pushed.fetch_add(1, Relaxed);
        channel.state.store(Message {
            stored,
            group,
            expires_at: expires_ms,
            lease_counts: LeaseCounts::default(),
            phase: records::first_phase(due_ms),
            state_at: None,
        });
    }
}
