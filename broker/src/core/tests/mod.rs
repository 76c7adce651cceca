//! A core on a data folder of the test's own, without HTTP.

mod restart;
mod turns;

use bytes::Bytes;
use restante_wire::{Address, ChannelConfig};
use tempfile::TempDir;

use super::*;
use crate::{data_folder::DataFolder, log::Options};

/// A core and what it lives on.
struct Bench {
    core: Core,
    store: AddressStore,
    entries: Vec<Arc<ChannelEntry>>,
    folder: DataFolder,
    _place: TempDir,
}

/// The smallest segments: they are sealed and reclaimed within a test.
const OPTIONS: Options = Options { segment_bytes: 64 << 10 };

impl Bench {
    fn new(channels: Vec<ChannelConfig>) -> Self {
        let place = TempDir::new().unwrap();
        let folder = DataFolder::open(&place.path().join("data"), Default::default()).unwrap();
        let store = AddressStore::open(&folder.addresses(), folder.store_id()).unwrap();
        let entries = store.sync(channels).unwrap().changed;
        let core = start(&folder, &store);
        Self { core, store, entries, folder, _place: place }
    }

    /// The broker is killed and starts again.
    fn restart(self) -> Self {
        let Self { core, store, entries, folder, _place } = self;
        drop(core);
        let core = start(&folder, &store);
        Self { core, store, entries, folder, _place }
    }

    fn push(&mut self, channels: &[usize], push: Push) -> Result<Pushed, PushRefusal> {
        let entries: Vec<_> = channels.iter().map(|index| self.entries[*index].clone()).collect();
        self.core.push(&entries, push, None)
    }

    fn pull(&mut self, channel: usize, lease: Millis) -> Option<Delivery> {
        let entry = self.entries[channel].clone();
        match self.core.pull(&entry, &Asked { lease, attempt: None }).unwrap() {
            Delivered::Now(delivery) => Some(delivery),
            Delivered::Again(_) => None,
            Delivered::Later(id, _) => {
                self.core.stop_waiting(entry.number, id);
                None
            }
        }
    }
}

fn start(folder: &DataFolder, store: &AddressStore) -> Core {
    let limits =
        Limits { waiting_receivers: 10, waiting_senders: 10, idempotency_keys: 1000, hot_bytes: 10_000 };
    Core::start(folder, store, OPTIONS, limits, Arc::new(Metrics::new().unwrap())).unwrap()
}

fn channel(name: &str) -> ChannelConfig {
    let address = Address::new("acme", name).unwrap();
    let mut config = ChannelConfig::new(
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()),
        "acme",
        name,
        address,
    );
    config.delivery.backoff.initial_seconds = 0;
    config
}

fn message(content: &str) -> Push {
    let content = Content { headers: Bytes::new(), body: Bytes::copy_from_slice(content.as_bytes()) };
    Push { content, key: None, group: None, delay: None, ttl: None }
}
