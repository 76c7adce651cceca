//! The store as a whole: what is found, what is refused, what outlives the process.

mod changes;
mod damage;
mod faults;
mod fixtures;
mod model;

use std::path::Path;

use restante_wire::{
    Address, ChannelConfig,
    channel::{Access, Delivery, Limits},
};
use uuid::Uuid;

use super::*;

/// A channel `acme/<name>` with both addresses the same.
fn config(name: &str) -> ChannelConfig {
    ChannelConfig {
        uid: Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()),
        namespace: "acme".into(),
        name: name.into(),
        generation: 1,
        destinations: vec![Address::new("acme", name).unwrap()],
        source: Address::new("acme", name).unwrap(),
        delivery: Delivery {
            wait_seconds: 10,
            max_wait_seconds: 20,
            lease_seconds: 30,
            max_lease_seconds: 3600,
        },
        limits: Limits { messages: 100, bytes: 1 << 20, message_bytes: 1 << 10 },
        deduplication_window_seconds: 300,
        access: Access { anonymous: true },
    }
}

fn open(folder: &Path) -> AddressStore {
    try_open(folder).unwrap()
}

fn try_open(folder: &Path) -> Result<AddressStore, OpenError> {
    AddressStore::open(folder, Uuid::from_u128(7))
}

fn number(store: &AddressStore, address: &str) -> Option<u32> {
    store.destination(address).map(|entry| entry.number)
}
