//! A shard on a real disk, without HTTP, that keeps no body in memory.

use std::{
    future::poll_fn,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use restante_broker::{
    address_store::{AddressStore, ChannelEntry},
    channel::LeaseSealer,
    clock::{Clock, TimeSource},
    data_folder::DataFolder,
    log::{DiskLog, Options},
    message::Content,
    metrics::Metrics,
    shard::{Common, Limits, Placement, Push, ReplayedLog, Shard},
    worker::SharedShard,
};
use restante_wire::{Address, ChannelConfig};
use tempfile::TempDir;
use uuid::Uuid;

/// Small, so that the chunks that a restart reads are small compared to the messages.
const SEGMENT_BYTES: u64 = 4 << 20;

/// The folders, and the channels' configurations.
pub(crate) struct Bench {
    pub(crate) entries: Vec<Arc<ChannelEntry>>,
    store: AddressStore,
    folder: DataFolder,
    data: TempDir,
}

impl Bench {
    pub(crate) fn new(channels: usize) -> Self {
        let data = TempDir::new().unwrap();
        let folder = DataFolder::open(&data.path().join("data"), Duration::ZERO).unwrap();
        let store = AddressStore::open(&folder.addresses(), folder.store_id()).unwrap();
        let entries = store.sync((0..channels).map(channel).collect()).unwrap().changed;
        Self { entries, store, folder, data }
    }

    /// Starts the broker.
    pub(crate) async fn start(&self) -> SharedShard {
        let log: &Path = &self.data.path().join("log");
        std::fs::create_dir_all(log).unwrap();
        let limits =
            Limits { waiting_receivers: 10, waiting_senders: 10, idempotency_keys: 1000, hot_bytes: 0 };
        let sealer = LeaseSealer::new(self.folder.lease_key().unwrap());
        let log = DiskLog::open(log, Options { segment_bytes: SEGMENT_BYTES }).unwrap();
        let common = Common::new(&self.store, sealer, limits, Arc::new(Metrics::new().unwrap())).unwrap();
        let mut found = vec![ReplayedLog::read(log, Placement::ALONE, &self.store).await.unwrap()];
        ReplayedLog::find_owners(&mut found, &self.store).unwrap();
        let clock = Clock::start(TimeSource::system(), found[0].past());
        SharedShard::new(Shard::start(found.remove(0), common, clock).unwrap())
    }

    /// Pushes all messages of `pushes`, each into its channel.
    pub(crate) async fn push(&self, shard: &SharedShard, pushes: impl Iterator<Item = (usize, Push)>) {
        for (index, (channel, push)) in pushes.enumerate() {
            let entries = [self.entries[channel].clone()];
            shard.with(|shard| shard.push(&entries, push, None)).unwrap();
            if index % 1000 == 999 {
                commit(shard).await;
            }
        }
        commit(shard).await;
    }
}

/// Commits everything, and waits for it.
pub(crate) async fn commit(shard: &SharedShard) {
    shard.with(|shard| shard.sync());
    let settled = |shard: &mut Shard, context: &mut Context<'_>| {
        while shard.poll_news(context).is_ready() {
            shard.commit();
        }
        if shard.is_settled() { Poll::Ready(()) } else { Poll::Pending }
    };
    poll_fn(|context| shard.with(|shard| settled(shard, context))).await;
}

/// A channel with the default configuration, except its size.
fn channel(number: usize) -> ChannelConfig {
    let name = format!("channel-{number}");
    let address = Address::new("acme", &name).unwrap();
    let mut config = ChannelConfig::new(Uuid::from_u128(number as u128 + 1), "acme", &name, address);
    config.limits.messages = 100_000_000;
    config
}

/// A message of this size.
pub(crate) fn message(bytes: usize) -> Push {
    let content = Content { headers: Bytes::new(), body: vec![0; bytes].into() };
    Push { content, key: None, group: None, delay: None, ttl: None, key_records: Vec::new() }
}
