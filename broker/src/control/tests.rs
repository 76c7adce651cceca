//! The control port as its client meets it: over the router, with channels that only count.

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
    channel::{Access, Delivery, Limits},
    control::{ChannelDeleted, StoreState},
};
use tokio::sync::Notify;
use tower::ServiceExt;
use uuid::Uuid;

use super::{ndjson::LINE_BYTES_MAX, *};
use crate::{address_store::ChannelEntry, core::CoreGone};

const TOKEN: &str = "a-token-of-some-length";

/// Channels that know how many messages each number has, and what they were told.
#[derive(Clone, Default)]
struct Counting(Arc<Told>);

#[derive(Default)]
struct Told {
    messages: BlockingMutex<HashMap<u32, u64>>,
    removed: BlockingMutex<Vec<u32>>,
    withdrawn: BlockingMutex<Vec<u32>>,
    gone: BlockingMutex<bool>,
    /// Closing says that it began and waits until it may end.
    slow: BlockingMutex<bool>,
    began: Notify,
    may_end: Notify,
    removed_one: Notify,
}

fn lock<T>(mutex: &BlockingMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Channels for Counting {
    async fn stats(&self, channels: Vec<Arc<ChannelEntry>>) -> Result<Vec<ChannelStats>, CoreGone> {
        if *lock(&self.0.gone) {
            return Err(CoreGone);
        }
        let messages = lock(&self.0.messages);
        let stats = channels.iter().map(|entry| ChannelStats {
            uid: entry.config.uid,
            namespace: entry.config.namespace.clone(),
            name: entry.config.name.clone(),
            ready: messages.get(&entry.number).copied().unwrap_or(0),
            leased: 0,
            bytes: 0,
            oldest_message_age_seconds: None,
            waiting_receivers: 0,
        });
        Ok(stats.collect())
    }

    async fn close(&self, number: u32, force: bool) -> Result<Result<u64, u64>, CoreGone> {
        if *lock(&self.0.slow) {
            self.0.began.notify_one();
            self.0.may_end.notified().await;
        }
        let messages = lock(&self.0.messages).get(&number).copied().unwrap_or(0);
        Ok(if messages > 0 && !force {
            Err(messages)
        } else {
            Ok(messages)
        })
    }

    async fn removed(&self, number: u32) {
        lock(&self.0.removed).push(number);
        self.0.removed_one.notify_one();
    }

    async fn withdrawn(&self, numbers: Vec<u32>) {
        lock(&self.0.withdrawn).extend(numbers);
    }
}

/// A control port on a store of its own.
struct Port {
    store: AddressStore,
    told: Arc<Told>,
    router: Router,
    _folder: tempfile::TempDir,
}

impl Port {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = AddressStore::open(folder.path(), Uuid::from_u128(7)).unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let channels = Counting::default();
        let router = router(store.clone(), channels.clone(), Token::read(&token).unwrap());
        Self {
            store,
            told: channels.0,
            router,
            _folder: folder,
        }
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
        self.send(Method::POST, path::CONTROL_SYNC, ndjson(channels))
            .await
    }
}

fn ndjson(channels: &[ChannelConfig]) -> String {
    channels
        .iter()
        .map(|one| serde_json::to_string(one).unwrap() + "\n")
        .collect()
}

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
        limits: Limits {
            messages: 100,
            bytes: 1 << 20,
            message_bytes: 1 << 10,
        },
        deduplication_window_seconds: 300,
        access: Access { anonymous: true },
    }
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
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let problem: Problem = serde_json::from_slice(&bytes(response).await).unwrap();
    (problem.status, problem.problem_type().unwrap(), problem.detail)
}

#[tokio::test]
async fn without_the_token_every_path_is_the_same_401() {
    let port = Port::open();
    for path in [
        path::CONTROL_REVISION,
        path::CONTROL_SYNC,
        &channel_path("one"),
        "/no/such/path",
    ] {
        for authorization in [None, Some("Bearer a-token-of-some-lengtH"), Some("Basic YTpi")] {
            let mut request = Request::builder().uri(path);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let response = port
                .router
                .clone()
                .oneshot(request.body(Body::empty()).unwrap())
                .await
                .unwrap();
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
            let (status, kind, _) = problem(response).await;
            assert_eq!((status, kind), (401, ProblemType::Unauthorized), "{path}");
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems_too() {
    let port = Port::open();
    let (status, kind, _) = problem(
        port.send(Method::GET, "/control/v2/revision", Body::empty())
            .await,
    )
    .await;
    assert_eq!((status, kind), (404, ProblemType::RouteUnknown));
    let response = port
        .send(Method::POST, path::CONTROL_REVISION, Body::empty())
        .await;
    assert!(response.headers().contains_key(header::ALLOW));
    assert_eq!(problem(response).await.1, ProblemType::MethodNotAllowed);
}

#[tokio::test]
async fn a_whole_set_is_taken_and_withdrawn_channels_are_told() {
    let port = Port::open();
    let state: StoreState = ok(port
        .send(Method::GET, path::CONTROL_REVISION, Body::empty())
        .await)
    .await;
    assert_eq!((state.synced_at, state.channels), (None, 0));

    let set = [config("one"), config("two")];
    let state: StoreState = ok(port.sync(&set).await).await;
    assert_eq!(
        (state.revision, state.channels, state.orphans),
        (Revision::of(&set), 2, 0)
    );
    assert!(state.synced_at.is_some() && port.store.is_programmed());
    assert!(lock(&port.told.withdrawn).is_empty());

    let one = port.store.by_name("acme", "one").unwrap().number;
    let state: StoreState = ok(port.sync(&set[1..]).await).await;
    assert_eq!((state.channels, state.orphans), (1, 1));
    assert_eq!(*lock(&port.told.withdrawn), [one]);
    let again: StoreState = ok(port
        .send(Method::GET, path::CONTROL_REVISION, Body::empty())
        .await)
    .await;
    assert_eq!(again, state);
}

#[tokio::test]
async fn a_set_may_come_in_any_pieces_and_an_empty_one_is_a_set() {
    let port = Port::open();
    let text = format!(
        "\n{}",
        ndjson(&[config("one"), config("two")]).replace('\n', "\r\n")
    );
    let pieces = text
        .trim_end()
        .as_bytes()
        .chunks(7)
        .map(|piece| Ok::<_, CoreGone>(Bytes::copy_from_slice(piece)));
    let body = Body::from_stream(stream::iter(pieces.collect::<Vec<_>>()));
    let state: StoreState = ok(port.send(Method::POST, path::CONTROL_SYNC, body).await).await;
    assert_eq!(state.channels, 2);
    let state: StoreState = ok(port.sync(&[]).await).await;
    assert_eq!((state.channels, state.orphans), (0, 2));
}

#[tokio::test]
async fn a_set_that_breaks_off_is_no_set() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one"), config("two")]).await).await;
    let revision = port.store.state().revision;
    // The connection breaks exactly between two lines.
    let pieces = [Ok(Bytes::from(ndjson(&[config("one")]))), Err(CoreGone)];
    let body = Body::from_stream(stream::iter(pieces));
    let (status, kind, _) = problem(port.send(Method::POST, path::CONTROL_SYNC, body).await).await;
    assert_eq!((status, kind), (400, ProblemType::BodyIncomplete));
    assert_eq!(port.store.state().revision, revision);
}

#[tokio::test]
async fn a_bad_line_is_named_and_nothing_is_applied() {
    let port = Port::open();
    let mut unknown = serde_json::to_value(config("two")).unwrap();
    unknown["paused"] = true.into();
    let good = ndjson(&[config("one")]);
    for (text, says) in [
        (format!("{good}{unknown}\n"), "paused"),
        (format!("{good}{{\n"), "line 2"),
        (
            format!("{good}\"{}", "x".repeat(LINE_BYTES_MAX)),
            "line 2 is longer than 65536 bytes",
        ),
    ] {
        let (status, kind, detail) = problem(port.send(Method::POST, path::CONTROL_SYNC, text).await).await;
        assert_eq!((status, kind), (400, ProblemType::BodyMalformed));
        assert!(detail.contains(says), "{detail}");
    }
    let mut invalid = config("two");
    invalid.delivery.lease_seconds = 0;
    let (status, kind, detail) = problem(port.sync(&[config("one"), invalid]).await).await;
    assert_eq!((status, kind), (400, ProblemType::ChannelInvalid));
    assert!(
        detail.contains("acme/two") && detail.contains("delivery.leaseSeconds"),
        "{detail}"
    );
    assert!(port.store.channels().is_empty() && !port.store.is_programmed());
}

#[tokio::test]
async fn a_conflict_names_both_channels_and_nothing_is_applied() {
    let port = Port::open();
    let mut two = config("two");
    two.source = config("one").source;
    let (status, kind, detail) = problem(port.sync(&[config("one"), two.clone()]).await).await;
    assert_eq!((status, kind), (409, ProblemType::ChannelConflict));
    assert!(
        detail.contains("acme/one") && detail.contains("acme/two") && detail.contains("source"),
        "{detail}"
    );
    assert!(!port.store.is_programmed());

    let _: StoreState = ok(port
        .send(Method::PUT, &channel_path("one"), ndjson(&[config("one")]))
        .await)
    .await;
    let response = port.send(Method::PUT, &channel_path("two"), ndjson(&[two])).await;
    assert_eq!(problem(response).await.1, ProblemType::ChannelConflict);
}

#[tokio::test]
async fn a_put_must_be_of_the_channel_that_its_path_names() {
    let port = Port::open();
    let body = ndjson(&[config("one")]);
    let response = port.send(Method::PUT, &channel_path("two"), body.clone()).await;
    assert_eq!(problem(response).await.1, ProblemType::BodyMalformed);
    let response = port
        .send(Method::PUT, &format!("{}one", path::CONTROL_CHANNELS), body)
        .await;
    assert_eq!(problem(response).await.1, ProblemType::ParameterMalformed);
    let response = port
        .send(Method::PUT, &channel_path("one"), " ".repeat(LINE_BYTES_MAX + 1))
        .await;
    assert_eq!(problem(response).await.1, ProblemType::BodyMalformed);
    assert!(port.store.channels().is_empty());
}

#[tokio::test]
async fn a_channel_with_messages_is_deleted_only_by_force_and_never_comes_back() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one")]).await).await;
    lock(&port.told.messages).insert(1, 42);
    let (status, kind, detail) = problem(
        port.send(Method::DELETE, &channel_path("one"), Body::empty())
            .await,
    )
    .await;
    assert_eq!((status, kind), (409, ProblemType::ChannelNotEmpty));
    assert!(detail.contains("42"), "{detail}");
    assert!(lock(&port.told.removed).is_empty() && port.store.is_known(1));

    let path = format!("{}?force=true", channel_path("one"));
    let deleted: ChannelDeleted = ok(port.send(Method::DELETE, &path, Body::empty()).await).await;
    assert_eq!((deleted.messages, deleted.store.channels), (42, 0));
    assert_eq!(*lock(&port.told.removed), [1]);

    // Again, and of one that never was: there is nothing left to do.
    for name in ["one", "never"] {
        let deleted: ChannelDeleted = ok(port
            .send(Method::DELETE, &channel_path(name), Body::empty())
            .await)
        .await;
        assert_eq!(deleted.messages, 0);
    }
    assert_eq!(lock(&port.told.removed).len(), 1);
    let put = port
        .send(Method::PUT, &channel_path("one"), ndjson(&[config("one")]))
        .await;
    let (status, kind, detail) = problem(put).await;
    assert_eq!((status, kind), (410, ProblemType::ChannelDeleted));
    assert!(detail.contains(&config("one").uid.to_string()), "{detail}");
    assert_eq!(
        problem(port.sync(&[config("one"), config("two")]).await).await.1,
        ProblemType::ChannelDeleted
    );
    assert!(port.store.channels().is_empty());
}

#[tokio::test]
async fn a_delete_knows_force_and_nothing_else() {
    let port = Port::open();
    for (query, kind) in [
        ("force=yes", ProblemType::ParameterMalformed),
        ("force", ProblemType::ParameterMalformed),
        ("forse=true", ProblemType::ParameterUnknown),
    ] {
        let path = format!("{}?{query}", channel_path("one"));
        let (status, found, detail) = problem(port.send(Method::DELETE, &path, Body::empty()).await).await;
        assert_eq!((status, found), (400, kind), "{detail}");
    }
}

#[tokio::test]
async fn a_deletion_that_began_is_carried_through_though_its_client_hung_up() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one")]).await).await;
    *lock(&port.told.slow) = true;
    let path = channel_path("one");
    tokio::select! {
        _ = port.send(Method::DELETE, &path, Body::empty()) => panic!("closing cannot have ended"),
        () = port.told.began.notified() => {}
    }
    port.told.may_end.notify_one();
    port.told.removed_one.notified().await;
    assert!(!port.store.is_known(1));
}

#[tokio::test]
async fn counts_are_told_of_one_channel_an_orphan_or_all() {
    let port = Port::open();
    // More than are asked for at a time.
    let many: Vec<_> = (0..2500).map(|number| config(&format!("c{number}"))).collect();
    let _: StoreState = ok(port.sync(&many).await).await;
    lock(&port.told.messages).insert(1, 42);
    let response = port.send(Method::GET, path::CONTROL_STATS, Body::empty()).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let text = String::from_utf8(bytes(response).await.to_vec()).unwrap();
    let all: Vec<ChannelStats> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(all.len(), 2500);
    assert_eq!((all[0].ready, all[1].ready), (42, 0));

    let first = port.store.by_number(1).unwrap();
    let _: StoreState = ok(port.sync(&[]).await).await;
    let path = format!("{}/stats", channel_path(&first.config.name));
    let stats: ChannelStats = ok(port.send(Method::GET, &path, Body::empty()).await).await;
    assert_eq!((stats.uid, stats.ready), (first.config.uid, 42));
    assert!(
        bytes(port.send(Method::GET, path::CONTROL_STATS, Body::empty()).await)
            .await
            .is_empty()
    );
    let path = format!("{}/stats", channel_path("never"));
    assert_eq!(
        problem(port.send(Method::GET, &path, Body::empty()).await)
            .await
            .1,
        ProblemType::ChannelUnknown
    );

    *lock(&port.told.gone) = true;
    let (status, kind, _) = problem(port.send(Method::GET, path::CONTROL_STATS, Body::empty()).await).await;
    assert_eq!((status, kind), (503, ProblemType::Draining));
}
