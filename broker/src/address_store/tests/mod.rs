//! The store as a whole: queries, refusals and persistence.

mod changes;
mod damage;
mod faults;
mod fixtures;
mod model;

use std::path::Path;

use restante_wire::{Address, ChannelConfig};
use uuid::Uuid;

use super::{entry::id_of, *};
use crate::log::ChannelId;

/// A channel `acme/<name>` with the same address as destination and source.
fn config(name: &str) -> ChannelConfig {
    let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
    ChannelConfig::new(uid, "acme", name, Address::new("acme", name).unwrap())
}

fn open(folder: &Path) -> AddressStore {
    try_open(folder).unwrap()
}

fn try_open(folder: &Path) -> Result<AddressStore, OpenError> {
    AddressStore::open(folder, Uuid::from_u128(7))
}

fn id(store: &AddressStore, address: &str) -> Option<ChannelId> {
    store.destination(address).first().map(|entry| entry.id)
}
