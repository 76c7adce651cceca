//! Tests of a broker's task and the tasks of its pods, with pods that are played by one HTTP server.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State as Shared,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Config,
    core::DeserializeGuard,
    runtime::{reflector, watcher::Event},
};
use restante_crds::MessageChannel;
use restante_wire::{
    ChannelConfig, Problem, ProblemType, Revision,
    control::{ControlProblem, StoreState},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{BrokerFacts, FleetContext, Member, Presence, State, actor::Actor, member::lock};
use crate::{
    metrics::Metrics,
    ownership::Ownership,
    shared::{events::Events, triggers::Triggers},
};

/// Much longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// The address of the pod that never answers.
const SILENT: &str = "10.0.0.1";
/// The address of a pod that answers.
const QUICK: &str = "10.0.0.2";

/// The pods, as the operator's HTTP client sees them.
#[derive(Clone)]
struct Pods {
    /// The channels of each set that a pod applied, in the order of arrival.
    applied: mpsc::UnboundedSender<HashSet<Uuid>>,
    /// Receives "asked" for each request to the silent pod, and "given up" when the request is dropped.
    silent: mpsc::UnboundedSender<&'static str>,
    store: Arc<Mutex<StoreState>>,
    refused: Option<Uuid>,
}

/// Sends a word when it is dropped.
struct GivenUp(mpsc::UnboundedSender<&'static str>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        let _ended = self.0.send("given up");
    }
}

async fn answer(Shared(pods): Shared<Pods>, uri: Uri, body: Bytes) -> Response {
    if uri.host() == Some(SILENT) {
        pods.silent.send("asked").unwrap();
        let _given_up = GivenUp(pods.silent.clone());
        return std::future::pending().await;
    }
    if uri.path().ends_with("/sync") {
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let set: Vec<ChannelConfig> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        if let Some(uid) = pods.refused.filter(|uid| set.iter().any(|config| config.uid == *uid)) {
            let kind = ProblemType::ChannelInvalid;
            let (type_uri, title) = (kind.uri(), kind.title().into());
            let problem = Problem { type_uri, title, status: 400, detail: "limits.messages is odd".into() };
            let body = serde_json::to_vec(&ControlProblem { problem, uid: Some(uid) }).unwrap();
            return (StatusCode::BAD_REQUEST, body).into_response();
        }
        let mut store = lock(&pods.store);
        store.revision = Revision::of(&set);
        store.synced_at = Some("2026-01-01T00:00:00Z".into());
        pods.applied.send(set.iter().map(|config| config.uid).collect()).unwrap();
    }
    if uri.path().ends_with("/stats") {
        return StatusCode::NOT_FOUND.into_response();
    }
    serde_json::to_vec(&*lock(&pods.store)).unwrap().into_response()
}

/// A broker's task with the channels 1 and 2, and with a pod at each of the addresses.
struct Running {
    member: Arc<Member>,
    applied: mpsc::UnboundedReceiver<HashSet<Uuid>>,
    silent: mpsc::UnboundedReceiver<&'static str>,
    triggers: Triggers<DeserializeGuard<MessageChannel>>,
    task: tokio::task::JoinHandle<()>,
}

fn object<K: serde::de::DeserializeOwned>(json: Value) -> K {
    serde_json::from_value(json).unwrap()
}

fn channel(number: u128) -> DeserializeGuard<MessageChannel> {
    object(json!({
        "apiVersion": "restante.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {
            "name": format!("c{number}"),
            "namespace": "acme",
            "uid": Uuid::from_u128(number),
            "generation": 1,
            "finalizers": ["restante.dev/mq"],
        },
        "spec": { "access": { "anonymous": true } },
    }))
}

fn pod(address: &str) -> Pod {
    object(json!({
        "metadata": {
            "name": address, "namespace": "mq", "uid": address, "labels": { "restante.dev/broker": "default" },
        },
        "status": { "phase": "Running", "podIP": address },
    }))
}

fn listed<K>(objects: Vec<K>) -> reflector::Store<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    objects.into_iter().for_each(|object| writer.apply_watcher_event(&Event::InitApply(object)));
    writer.apply_watcher_event(&Event::InitDone);
    store
}

async fn run(addresses: &[&str], refused: Option<Uuid>) -> Running {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // A proxy gets the requests for every address.
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let http = reqwest::Client::builder().proxy(reqwest::Proxy::http(&proxy).unwrap()).build().unwrap();
    let (applied_sender, applied) = mpsc::unbounded_channel();
    let (silent_sender, silent) = mpsc::unbounded_channel();
    let store = StoreState {
        store_id: Uuid::from_u128(9),
        revision: Revision::default(),
        synced_at: None,
        channels: 0,
        orphans: 0,
    };
    let pods =
        Pods { applied: applied_sender, silent: silent_sender, store: Arc::new(Mutex::new(store)), refused };
    let router = Router::new().fallback(answer).with_state(pods);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let triggers = Triggers::default();
    let context = FleetContext {
        channels: listed([1, 2].map(channel).into()),
        pods: listed(addresses.iter().map(|address| pod(address)).collect()),
        seen: tokio::sync::watch::channel(true).1,
        http,
        ownership: Arc::new(Ownership::new("mq".into())),
        unsent: Arc::default(),
        metrics: Arc::new(Metrics::new().unwrap()),
        events: Events::new(client, "mq/restante".into()),
        channel_triggers: triggers.clone(),
        broker_triggers: Triggers::default(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        fatal: CancellationToken::new(),
    };
    let facts = BrokerFacts { uid: "u".into(), token: "t".into(), url: "http://mq".into() };
    let presence = Arc::new(Presence::new("default".into(), None));
    let (member, commands) = Member::new("default".into(), facts, CancellationToken::new(), presence);
    let member = Arc::new(member);
    let task = tokio::spawn(Actor::new(Arc::clone(&member), commands, context).run());
    Running { member, applied, silent, triggers, task }
}

async fn within<T>(future: impl Future<Output = Option<T>>) -> T {
    timeout(PATIENCE, future).await.expect("nothing happened").unwrap()
}

fn uids(numbers: &[u128]) -> HashSet<Uuid> {
    numbers.iter().map(|number| Uuid::from_u128(*number)).collect()
}

#[tokio::test]
async fn a_silent_pod_delays_no_other_pod_and_its_task_ends_with_the_brokers_task() {
    let mut running = run(&[SILENT, QUICK], None).await;
    assert_eq!(within(running.silent.recv()).await, "asked");
    assert_eq!(within(running.applied.recv()).await, uids(&[1, 2]));
    // Not every pod has the channels.
    assert_eq!(running.member.outcome(Uuid::from_u128(1)), None);
    running.member.stop.cancel();
    timeout(PATIENCE, running.task).await.unwrap().unwrap();
    assert_eq!(within(running.silent.recv()).await, "given up");
}

#[tokio::test]
async fn a_channel_that_a_pod_refuses_leaves_the_set_and_the_others_are_programmed() {
    let refused = Uuid::from_u128(1);
    let mut running = run(&[QUICK], Some(refused)).await;
    assert_eq!(within(running.applied.recv()).await, uids(&[2]));
    let mut triggered = std::pin::pin!(running.triggers.stream());
    let mut names = HashSet::new();
    while names.len() < 2 {
        names.insert(within(futures_util::StreamExt::next(&mut triggered)).await.name);
    }
    let state = |number| running.member.outcome(Uuid::from_u128(number)).unwrap().state;
    assert_eq!(state(1), State::Refused("limits.messages is odd".into()));
    assert_eq!(state(2), State::Programmed);
}
