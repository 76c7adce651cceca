//! No answer is sent before its effects are on disk: requests over the router, to a worker that commits its groups only
//! when the test says so.

use std::{future::poll_fn, net::Ipv4Addr, pin::Pin, sync::Arc, task::Poll, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
};
use http::{
    HeaderMap, Request, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use restante_wire::{
    ChannelConfig,
    channel::Durability,
    header::{ACKNOWLEDGE, RESTANTE_SETTLE},
    path,
};
use serde_json::json;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::{router::routes, *};
use crate::{
    admin::Health,
    channel::LeaseSealer,
    drain::Drain,
    http::{BrowserRules, Caller, CallerCounts, CallerLimits, Callers, Prefix, TrustedProxies},
    metrics::Metrics,
    service::Service,
    shard::tests::{Bench, Folder, ThreadedShard},
    worker::tasks::commit_groups,
};

/// A channel with both sides at one address.
const ADDRESS: &str = "acme/orders";

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
}

/// A broker that does not commit by itself.
struct Broker {
    router: Router,
    caller: Caller,
    on: ThreadedShard,
}

impl Broker {
    fn new(durability: Durability) -> Self {
        let config = ChannelConfig::new(Uuid::nil(), "acme", "orders", ADDRESS.parse().unwrap());
        let on = Bench::<Folder>::new([ChannelConfig { durability, ..config }].to_vec()).threaded();
        let service = Service {
            store: on.store.clone(),
            router: on.reach.clone(),
            clock: on.shards.clock(),
            sealer: LeaseSealer::new(on.folder.lease_key().unwrap()),
            counters: Arc::default(),
            drain: Drain::new(),
            metrics: Arc::new(Metrics::new().unwrap()),
        };
        let context = Context {
            service: Arc::new(service),
            browsers: BrowserRules::default(),
            prefix: Prefix::default(),
            health: Health::new(1, on.store.clone(), Drain::new(), CancellationToken::new()).0,
            callers: Callers::new(
                CallerLimits { requests: 10, body_bytes: 1 << 20, answer_bytes: 1 << 20 },
                &CallerCounts::unread(),
                TrustedProxies::default(),
            ),
            body_timeout: Duration::from_secs(30),
        };
        let caller = context.callers.at(Ipv4Addr::LOCALHOST.into());
        Self { router: routes().router().with_state(Arc::new(context)), caller, on }
    }

    fn ask(&self, request: Request<Body>) -> Pin<Box<impl Future<Output = Answer> + use<>>> {
        let (router, caller) = (self.router.clone(), self.caller.clone());
        Box::pin(async move {
            let mut request = request;
            request.extensions_mut().insert(caller);
            let response = router.oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            to_bytes(body, usize::MAX).await.unwrap();
            Answer { status: parts.status, headers: parts.headers }
        })
    }

    /// Checks that an answer waits for the disk, then commits and returns it.
    async fn stored(&self, what: &str, request: Request<Body>) -> Answer {
        let mut answer = self.ask(request);
        for _ in 0..100 {
            assert!(poll_once(&mut answer).await.is_pending(), "{what} is answered before it is on disk");
            yield_now().await;
        }
        self.committing(answer).await
    }

    /// Commits groups while a future runs.
    async fn committing<T>(&self, awaited: impl Future<Output = T>) -> T {
        tokio::select! {
            came = awaited => came,
            () = commit_groups(self.on.shard.clone(), CancellationToken::new()) => panic!("the log failed"),
        }
    }

    /// A lease of a message that was just pushed.
    async fn leased(&self) -> String {
        let pushed = self.committing(self.ask(push(path::MESSAGES, "a message"))).await;
        assert_eq!(pushed.status, StatusCode::CREATED);
        let pulled = self.committing(self.ask(get(path::MESSAGES, "wait=0"))).await;
        assert_eq!(pulled.status, StatusCode::OK);
        pulled.headers[LOCATION].to_str().unwrap().to_owned()
    }
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

fn push(prefix: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(format!("{prefix}{ADDRESS}")).body(body.into()).unwrap()
}

fn get(prefix: &str, query: &str) -> Request<Body> {
    Request::get(format!("{prefix}{ADDRESS}?{query}")).body(Body::empty()).unwrap()
}

fn settling(mut pull: Request<Body>) -> Request<Body> {
    pull.headers_mut().insert(RESTANTE_SETTLE, HeaderValue::from_static("yes"));
    pull
}

fn with_json(request: Request<Body>, body: &serde_json::Value) -> Request<Body> {
    let (mut parts, _) = request.into_parts();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Request::from_parts(parts, body.to_string().into())
}

#[tokio::test]
async fn a_push_and_a_batch_push_are_answered_after_they_are_on_disk() {
    let broker = Broker::new(Durability::Fsync);
    let answer = broker.stored("a push", push(path::MESSAGES, "a message")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let batch =
        with_json(push(path::BATCHES, ""), &json!({"messages": [{"content": "one"}, {"content": "two"}]}));
    assert_eq!(broker.stored("a batch", batch).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_message_is_sent_after_its_lease_is_on_disk() {
    let broker = Broker::new(Durability::Fsync);
    let pulls = [
        ("a pull", get(path::MESSAGES, "wait=0")),
        ("a pull that settles", settling(get(path::MESSAGES, "wait=0&ack=auto"))),
        ("a pull by POST", push(path::RECEIVE, Body::empty())),
        ("a batch", get(path::BATCHES, "wait=0")),
        ("a batch that settles", settling(get(path::BATCHES, "wait=0&ack=auto"))),
    ];
    for (what, pull) in pulls {
        broker.committing(broker.ask(push(path::MESSAGES, "a message"))).await;
        assert_eq!(broker.stored(what, pull).await.status, StatusCode::OK, "{what}");
    }
}

#[tokio::test]
async fn each_lease_operation_is_answered_after_it_is_on_disk() {
    let broker = Broker::new(Durability::Fsync);
    let post =
        |lease: &str, what: &str| Request::post(format!("{lease}/{what}")).body(Body::empty()).unwrap();
    let settle = |lease: &str| Request::delete(lease).body(Body::empty()).unwrap();
    let many = |lease: &str| {
        let token = lease.strip_prefix(path::LEASES).unwrap();
        with_json(Request::post(path::SETTLEMENTS).body(Body::empty()).unwrap(), &json!({"ack": [token]}))
    };
    assert!(broker.stored("a settle", settle(&broker.leased().await)).await.status.is_success());
    assert!(broker.stored("settlements", many(&broker.leased().await)).await.status.is_success());
    for what in ["renew", "release", "reject"] {
        let answer = broker.stored(what, post(&broker.leased().await, what)).await;
        assert!(answer.status.is_success(), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn a_time_out_response_is_sent_after_the_acknowledged_settles_are_on_disk() {
    let broker = Broker::new(Durability::Fsync);
    for prefix in [path::MESSAGES, path::BATCHES] {
        let lease = broker.leased().await;
        let mut pull = get(prefix, "wait=0");
        pull.headers_mut().insert(ACKNOWLEDGE, lease.parse().unwrap());
        let answer = broker.stored(prefix, pull).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_push_with_durability_memory_does_not_wait_for_the_disk() {
    let broker = Broker::new(Durability::Memory);
    let pushed = broker.ask(push(path::MESSAGES, "a message")).await;
    assert_eq!(pushed.status, StatusCode::CREATED);
}
