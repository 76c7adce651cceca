//! What a channel's configuration says to its state machine.

use restante_wire::channel::{Backoff, ChannelConfig, Expired};

use crate::clock::Millis;

/// What becomes of messages that nobody settles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// After how many deliveries a message is given up.
    pub max_deliveries: u32,
    /// The pause before a message that was given back is handed out again.
    pub backoff: Backoff,
    /// What becomes of a message whose time is over.
    pub expired: Expired,
    /// How long a dead letter stays; for ever, if it is not said.
    pub dead_for: Option<Millis>,
}

impl Policy {
    /// The policy of a channel.
    pub fn of(config: &ChannelConfig) -> Self {
        let dead_for = u64::from(config.dead_letter.ttl_seconds) * 1000;
        Self {
            max_deliveries: config.delivery.max_deliveries,
            backoff: config.delivery.backoff.clone(),
            expired: config.expired,
            dead_for: (dead_for > 0).then_some(dead_for),
        }
    }
}
