//! A message whose record was appended arrives in its channels.

use std::sync::atomic::Ordering::Relaxed;

use super::{Core, Recorded, records};
use crate::{
    channel::{GroupName, Handouts, Message, Stored},
    clock::Millis,
    log::{Log, Target},
};

/// What each of its channels gets.
#[derive(Clone)]
pub(super) struct Arrived {
    pub(super) stored: Stored,
    pub(super) recorded: Recorded,
    pub(super) group: Option<GroupName>,
    pub(super) due_ms: Option<Millis>,
}

impl<L: Log> Core<L> {
    /// Stores it in one of them, which is there.
    pub(super) fn arrive(&mut self, target: Target, arrived: Arrived) {
        let Target { channel: number, sequence, expires_ms } = target;
        let Arrived { stored, recorded, group, due_ms } = arrived;
        let Some(channel) = self.channels.get_mut(&number) else { return };
        self.contents.insert((number, &channel.entry.config.namespace), sequence, recorded);
        channel.counters.pushed.fetch_add(1, Relaxed);
        channel.state.store(Message {
            stored,
            group,
            expires_at: expires_ms,
            handouts: Handouts::default(),
            phase: records::first_phase(due_ms),
            state_at: None,
        });
    }
}
