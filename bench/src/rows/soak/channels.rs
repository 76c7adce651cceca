//! The channels of the soak.

use anyhow::Result;
use restante_wire::{Address, ChannelConfig};

use crate::broker::operator::{self, NAMESPACE};

/// Destinations of the senders: plain messages, messages in groups, and messages for two channels at once.
pub(super) const DESTINATIONS: [&str; 3] = ["letters", "groups", "shared"];
/// Sources of the receivers.
pub(super) const SOURCES: [&str; 4] = ["letters", "groups", "shared-a", "shared-b"];
/// Dead-letter channel of all sources.
pub(super) const DEAD: &str = "dead";
/// A channel without messages.
pub(super) const QUIET: &str = "quiet";
/// Limit of messages per channel, at which senders wait for room. It bounds the messages in flight even if senders are
/// faster than receivers.
const MESSAGES_MAX: u64 = 2000;

/// Configurations of all channels.
pub(super) fn all() -> impl Iterator<Item = Result<ChannelConfig>> {
    SOURCES.into_iter().chain([DEAD, QUIET]).map(config)
}

fn config(name: &str) -> Result<ChannelConfig> {
    let mut config = operator::channel(name)?;
    config.limits.messages = MESSAGES_MAX;
    config.delivery.max_deliveries = 3;
    config.delivery.backoff.initial_seconds = 0;
    // Short, so that the number of remembered keys soon becomes constant.
    config.deduplication_window_seconds = 5;
    if SOURCES.contains(&name) {
        config.dead_letter.channel = Some(DEAD.to_owned());
    }
    if name.starts_with("shared-") {
        config.destinations.push(Address::new(NAMESPACE, "shared")?);
        config.shared_destination = true;
    }
    Ok(config)
}
