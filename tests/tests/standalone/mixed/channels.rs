//! The channels of the mixed load, and what clients do with each.

use anyhow::Result;
use restante_tests::ledger::account::{Account, Expired};
use restante_wire::{
    Address, ChannelConfig,
    channel::{self, Order},
};

/// Short, so that a message whose answer was lost returns within the test; long compared with a request.
pub(super) const LEASE_SECONDS: u32 = 3;
/// Redelivery limit of `fragile`, the only channel whose messages reach theirs.
pub(super) const FRAGILE_DELIVERIES_MAX: u32 = 2;
/// Low, so that senders find full channels.
const MESSAGES_MAX: u64 = 60;

/// What clients do with a channel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Habits {
    /// Number of message groups of each sender; 0 for messages without a group.
    pub(super) groups: u32,
    /// Messages have a time to live.
    pub(super) short_lived: bool,
    /// Some messages have a delay.
    pub(super) delays: bool,
    /// Pulls use `ack=auto`.
    pub(super) auto: bool,
    /// Messages are pushed, pulled and settled in batches.
    pub(super) batches: bool,
    /// Receivers reject some messages.
    pub(super) rejects: bool,
    /// Messages move to another channel. So a message that was settled late may have moved instead.
    pub(super) moves: bool,
}

/// A channel under load.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) name: &'static str,
    /// The account of its clients.
    pub(super) account: Account,
    pub(super) habits: Habits,
    pub(super) expired: Expired,
    /// Whether the channel contains the dead letters of another channel.
    pub(super) dead_letters: bool,
}

/// An address for pushes, and the accounts of its channels.
pub(super) struct Destination {
    pub(super) name: &'static str,
    pub(super) accounts: Vec<Account>,
    pub(super) habits: Habits,
}

/// All channels and destinations of the test.
pub(super) struct Plan {
    pub(super) configs: Vec<ChannelConfig>,
    pub(super) loads: Vec<Load>,
    pub(super) destinations: Vec<Destination>,
}

impl Plan {
    pub(super) fn new() -> Result<Self> {
        let mut plan = Self { configs: Vec::new(), loads: Vec::new(), destinations: Vec::new() };
        let rejects = Habits { rejects: true, ..Habits::default() };
        plan.add("letters", Habits { delays: true, ..rejects }, |_| ())?;
        plan.add("groups", Habits { groups: 4, delays: true, ..rejects }, |config| {
            // Its dead letters are not redriven under load, so they need room.
            config.limits.messages = 10 * MESSAGES_MAX;
        })?;
        plan.add("strict", Habits { groups: 1, ..Habits::default() }, |config| {
            config.delivery.order = Order::Strict;
        })?;
        plan.add("short", Habits { short_lived: true, ..Habits::default() }, |_| ())?;
        plan.add("short-dead", Habits { short_lived: true, ..Habits::default() }, |config| {
            config.expired = channel::Expired::DeadLetter;
            config.limits.messages = 100_000;
        })?;
        plan.add("once", Habits { auto: true, ..Habits::default() }, |_| ())?;
        plan.add("batches", Habits { batches: true, delays: true, ..rejects }, |_| ())?;
        plan.add("fragile", Habits { moves: true, ..rejects }, |config| {
            config.delivery.max_deliveries = FRAGILE_DELIVERIES_MAX;
            config.dead_letter.channel = Some("fragile-dead".into());
        })?;
        let (fragile, moves) = (plan.loads[plan.loads.len() - 1].account.clone(), Habits::default());
        let mut dead_letters = config("fragile-dead")?;
        dead_letters.limits.messages = 100_000;
        plan.configs.push(dead_letters);
        plan.loads.push(Load {
            name: "fragile-dead",
            account: fragile,
            habits: moves,
            expired: Expired::Drop,
            dead_letters: true,
        });
        for name in ["shared-a", "shared-b", "shared-c"] {
            let mut config = config(name)?;
            config.destinations = [Address::new("acme", "shared")?].into();
            config.shared_destination = true;
            plan.configs.push(config);
            plan.loads.push(Load::new(name, rejects));
        }
        let shared = plan.loads[plan.loads.len() - 3..].iter().map(|load| load.account.clone()).collect();
        plan.destinations.push(Destination { name: "shared", accounts: shared, habits: rejects });
        Ok(plan)
    }

    fn add(
        &mut self,
        name: &'static str,
        habits: Habits,
        change: impl FnOnce(&mut ChannelConfig),
    ) -> Result<()> {
        let mut config = config(name)?;
        change(&mut config);
        let mut load = Load::new(name, habits);
        if config.expired == channel::Expired::DeadLetter {
            load.expired = Expired::DeadLetter;
        }
        self.destinations.push(Destination { name, accounts: vec![load.account.clone()], habits });
        self.configs.push(config);
        self.loads.push(load);
        Ok(())
    }

    pub(super) fn load(&self, name: &str) -> &Load {
        self.loads.iter().find(|load| load.name == name).expect("the plan has it")
    }
}

impl Load {
    fn new(name: &'static str, habits: Habits) -> Self {
        Self { name, account: Account::default(), habits, expired: Expired::Drop, dead_letters: false }
    }
}

/// A channel in the namespace acme, without back-off. Only `fragile` has a low redelivery limit.
fn config(name: &str) -> Result<ChannelConfig> {
    let sum = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(257) + u64::from(byte));
    let uid = format!("00000000-0000-4000-8000-{:012x}", sum & 0xffff_ffff_ffff);
    let mut config = ChannelConfig::new(uid.parse()?, "acme", name, Address::new("acme", name)?);
    config.delivery.lease_seconds = LEASE_SECONDS;
    config.delivery.max_deliveries = 1000;
    config.delivery.backoff.initial_seconds = 0;
    config.limits.messages = MESSAGES_MAX;
    Ok(config)
}
