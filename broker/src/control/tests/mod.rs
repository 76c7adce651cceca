//! Tests of the control API through its router, with channels that only count.

mod changes;
mod operations;
mod reads;

use std::{
    collections::HashMap,
    sync::{Mutex as BlockingMutex, MutexGuard},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    response::Response,
};
use futures_util::stream;
use http::{Method, Request, StatusCode, header};
use restante_wire::{
    Address, ChannelConfig, ChannelStats, Problem, Revision,
    control::{ChannelDeleted, ControlProblem, Redriven, StoreState},
};
use tokio::sync::Notify;
use tower::ServiceExt;
use uuid::Uuid;

use super::{ndjson::LINE_BYTES_MAX, *};
use crate::{
    address_store::ChannelEntry,
    channel::State,
    clock::Millis,
    log::{ChannelId, disk::LogSnapshot},
    shard::{ShardGone, WorkFailed},
    worker::Redrive,
};

const TOKEN: &str = "a-token-that-nobody-guesses-at-all";

/// Channels with a fixed number of messages each, which record the calls that they get.
#[derive(Clone, Default)]
struct Counting(Arc<Calls>);

#[derive(Default)]
struct Calls {
    messages: BlockingMutex<HashMap<ChannelId, u64>>,
    closed: BlockingMutex<Vec<ChannelId>>,
    changed: BlockingMutex<Vec<ChannelId>>,
    withdrawn: BlockingMutex<Vec<ChannelId>>,
    operations: BlockingMutex<u32>,
    gone: BlockingMutex<bool>,
    /// Whether `close` signals that it began and waits until it may end.
    slow: BlockingMutex<bool>,
    began: Notify,
    may_end: Notify,
}

fn lock<T>(mutex: &BlockingMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Channels for Counting {
    async fn stats(&self, channels: Vec<Arc<ChannelEntry>>) -> Result<Vec<ChannelStats>, ShardGone> {
        if *lock(&self.0.gone) {
            return Err(ShardGone);
        }
        let messages = lock(&self.0.messages);
        let stats = channels.iter().map(|entry| ChannelStats {
            ready: messages.get(&entry.id).copied().unwrap_or(0),
            ..ChannelStats::empty(&entry.config)
        });
        Ok(stats.collect())
    }

    async fn close(&self, entry: Arc<ChannelEntry>, force: bool) -> Result<Result<u64, u64>, WorkFailed> {
        let channel_id = entry.id;
        if *lock(&self.0.slow) {
            self.0.began.notify_one();
            self.0.may_end.notified().await;
        }
        let messages = lock(&self.0.messages).get(&channel_id).copied().unwrap_or(0);
        if messages > 0 && !force {
            return Ok(Err(messages));
        }
        lock(&self.0.closed).push(channel_id);
        Ok(Ok(messages))
    }

    async fn removed(&self, _: ChannelId) {}

    async fn changed(&self, entries: Vec<Arc<ChannelEntry>>) {
        lock(&self.0.changed).extend(entries.iter().map(|entry| entry.id));
    }

    async fn redrive(&self, redrive: Redrive) -> Result<Redriven, WorkFailed> {
        *lock(&self.0.operations) += 1;
        Ok(Redriven { moved: redrive.limit.min(7), ..Redriven::default() })
    }

    async fn purge(&self, _: Arc<ChannelEntry>, states: Vec<State>) -> Result<u64, WorkFailed> {
        *lock(&self.0.operations) += 1;
        Ok(states.len() as u64)
    }

    async fn cut(&self) -> Result<Vec<LogSnapshot>, WorkFailed> {
        Err(ShardGone.into())
    }

    fn now(&self) -> Millis {
        0
    }

    async fn withdrawn(&self, channel_ids: Vec<ChannelId>) {
        lock(&self.0.withdrawn).extend(channel_ids);
    }
}

/// A control port with its own address store.
struct Port {
    store: AddressStore,
    calls: Arc<Calls>,
    router: Router,
    _folder: tempfile::TempDir,
}

impl Port {
    fn open() -> Self {
        Self::open_with(false)
    }

    fn open_with(managed_by_manifests: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = AddressStore::open(folder.path(), Uuid::from_u128(7)).unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let channels = Counting::default();
        let router = router(
            store.clone(),
            channels.clone(),
            Token::read(&token).unwrap(),
            managed_by_manifests,
            folder.path(),
        );
        Self { store, calls: channels.0, router, _folder: folder }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(body.into())
            .unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn sync(&self, channels: &[ChannelConfig]) -> Response {
        self.send(Method::POST, path::CONTROL_SYNC, ndjson(channels)).await
    }
}

fn ndjson(channels: &[ChannelConfig]) -> String {
    channels.iter().map(|one| serde_json::to_string(one).unwrap() + "\n").collect()
}

fn config(name: &str) -> ChannelConfig {
    let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
    ChannelConfig::new(uid, "acme", name, Address::new("acme", name).unwrap())
}

fn channel_path(name: &str) -> String {
    format!("{}{}", path::CONTROL_CHANNELS, config(name).uid)
}

async fn bytes(response: Response) -> Bytes {
    to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

async fn ok<T: serde::de::DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let body = bytes(response).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    serde_json::from_slice(&body).unwrap()
}

async fn problem(response: Response) -> (u16, ProblemType, String) {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: Problem = serde_json::from_slice(&bytes(response).await).unwrap();
    (problem.status, problem.problem_type().unwrap(), problem.detail)
}
