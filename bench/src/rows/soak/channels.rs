//! The channels of the soak.

use anyhow::Result;
use restante_wire::{Address, ChannelConfig};

use crate::broker::operator::{self, NAMESPACE};

/// Where senders send: plain messages, messages of groups, and those that two channels share.
pub(super) const DESTINATIONS: [&str; 3] = ["letters", "groups", "shared"];
/// What receivers receive from.
pub(super) const SOURCES: [&str; 4] = ["letters", "groups", "shared-a", "shared-b"];
/// What all of them give up.
pub(super) const DEAD: &str = "dead";
/// Where nothing comes.
pub(super) const QUIET: &str = "quiet";
/// As many as may be in a channel: its senders wait for room. So what is in flight is bounded, whoever is faster.
const MESSAGES_MAX: u64 = 2000;

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Result<ChannelConfig>> {
    SOURCES.into_iter().chain([DEAD, QUIET]).map(config)
}

fn config(name: &str) -> Result<ChannelConfig> {
    let mut config = operator::channel(name)?;
    config.limits.messages = MESSAGES_MAX;
    config.delivery.max_deliveries = 3;
    config.delivery.backoff.initial_seconds = 0;
    // The keys of a soak are soon as many as they will ever be.
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
