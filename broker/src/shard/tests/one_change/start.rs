//! A start on a data folder, with the broker's own code, and its result.

use std::{
    collections::BTreeMap, future::Future as _, path::Path, pin::Pin, sync::Arc, task::Poll, time::Duration,
};

use uuid::Uuid;

use crate::{
    address_store::AddressStore,
    channel::{LeaseSealer, Sequence},
    clock::TimeSource,
    data_folder::DataFolder,
    log::{ChannelId, Options, conformance::wait},
    metrics::Metrics,
    run::{RunError, open},
    shard::{Common, Limits, Placement, Shard, StoreFailed, StoredMessage, ledger::read::Reading},
};

/// A message: the UID of its channel, and its sequence there.
pub(super) type Name = (Uuid, Sequence);

/// A message after a start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    Readable(Vec<u8>),
    Unreadable,
}

/// A broker without its ports and tasks.
pub(super) struct Broker {
    pub(super) shards: Vec<Shard>,
    pub(super) store: AddressStore,
    _folder: DataFolder,
}

const LIMITS: Limits =
    Limits { waiting_receivers: 10, waiting_senders: 10, idempotency_keys: 10_000, hot_bytes: 0 };

impl Broker {
    pub(super) fn start(path: &Path, shards: usize) -> Result<Self, RunError> {
        let folder = DataFolder::open(path, Duration::ZERO)?;
        let store = AddressStore::read(&folder.addresses(), folder.store_id())?;
        let options = Options { segment_bytes: 64 << 10 };
        let found = open::read(&folder, shards, options, &store, TimeSource::system())?;
        let sealer = LeaseSealer::new(folder.lease_key()?);
        let common = Common::new(&store, sealer, LIMITS, Arc::new(Metrics::new()?))?;
        let opened = found.start(&common)?;
        Ok(Self { shards: opened.shards, store, _folder: folder })
    }

    /// Commits everything, and waits for it.
    pub(super) fn commit(&mut self) {
        for shard in &mut self.shards {
            shard.commit();
            wait(|context| {
                while shard.poll_news(context).is_ready() {
                    shard.commit();
                }
                let is_committed = shard.has_failed() || !shard.ledger.has_to_commit();
                if is_committed && shard.ledger.is_idle() { Poll::Ready(()) } else { Poll::Pending }
            });
            assert!(!shard.has_failed());
        }
    }

    pub(super) fn shard_of(&mut self, number: ChannelId) -> &mut Shard {
        let here = Placement { shard: 0, shards: self.shards.len() };
        &mut self.shards[here.shard_of(number)]
    }

    pub(super) fn found(&mut self) -> BTreeMap<Name, Held> {
        let mut found = BTreeMap::new();
        for shard in &mut self.shards {
            let mut messages = Vec::new();
            for (number, channel) in &shard.facts.channels {
                let uid = channel.live.entry.config.uid;
                for (sequence, message) in channel.state.messages() {
                    messages.push((*number, (uid, sequence), message.stored.position));
                }
            }
            for (number, name, position) in messages {
                let reading = shard.content(number, name.1, None, position);
                let held = match reading.and_then(read) {
                    Ok(StoredMessage { content, .. }) => Held::Readable(content.body.to_vec()),
                    Err(StoreFailed) => Held::Unreadable,
                };
                found.insert(name, held);
            }
        }
        found
    }
}

pub(super) fn read(reading: Reading) -> Result<StoredMessage, StoreFailed> {
    match reading {
        Reading::Here(recorded) => Ok(recorded),
        Reading::Unreadable(_) => Err(StoreFailed),
        Reading::Coming(mut coming) => {
            let came = wait(|context| Pin::new(&mut coming).poll(context));
            came.unwrap().map(|bytes| StoredMessage::of(&bytes)).map_err(|_| StoreFailed)
        }
    }
}

/// The messages after a start, or the error of the start.
pub(super) fn start(path: &Path, shards: usize) -> Result<BTreeMap<Name, Held>, RunError> {
    Ok(Broker::start(path, shards)?.found())
}
