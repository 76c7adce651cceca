//! The part of a channel's configuration that its state machine needs.

use restante_wire::channel::{Backoff, ChannelConfig, Expired};

use crate::clock::Millis;

/// Rules for messages that are not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Deliveries after which a message becomes a dead letter.
    pub max_deliveries: u32,
    /// Pause before a released message is ready again.
    pub backoff: Backoff,
    /// The fate of an expired message.
    pub expired: Expired,
    /// Time to live of a dead letter; `None` for no limit.
    pub dead_for: Option<Millis>,
}

impl Policy {
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
