//! Starts the operator's tasks, waits for a signal or for a task that must not end, and stops all tasks.

use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::DeserializeGuard,
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action, Config},
        reflector::{self, ObjectRef},
        watcher,
    },
};
use restante_crds::{MessageBroker, MessageChannel};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, Admin},
    config::RunArgs,
    context::Context,
    fleet::{Fleet, FleetContext, Triggers, control},
    kinds::{
        broker::{self, default_broker, default_differs::DefaultDiffers, mapping, orphaned_children},
        channel,
    },
    metrics::Metrics,
    names::BROKER_LABEL,
    ownership::{Ownership, default_operator, foreign_channels},
    shared::{backoff::Backoffs, error::Error, events::Events, stalled::Failures, unreadable::Reported},
    signals::ShutdownSignals,
    watchdog,
};

/// Concurrent reconciles of one kind. More do not help: they wait for the API server.
const CONCURRENCY: u16 = 32;
/// Time limit of the shutdown. Nothing is lost if it is exceeded: every write can be repeated.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval between two checks for the definitions while they are not installed.
const DEFINITIONS_INTERVAL: Duration = Duration::from_secs(2);
/// The interval between two checks for deleted MessageBrokers, whose channels must be reconciled. A check only reads
/// memory.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// Why the process must restart.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot listen at {0} (--metrics-listen): {1}")]
    Listen(SocketAddr, io::Error),
    #[error("the admin port failed: {0}")]
    Admin(io::Error),
    /// A defect: two metrics have the same name.
    #[error("cannot create the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// No HTTP client for the brokers.
    #[error("cannot create an HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// The watches receive nothing.
    #[error(transparent)]
    Restored(#[from] watchdog::Restored),
    /// A task ended before the shutdown. Most often a defect, which the log shows.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

/// Reconciles until SIGTERM or SIGINT. After an error, the process must restart.
pub async fn run(client: Client, args: RunArgs, mut signals: ShutdownSignals) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let running = serve(client, args, stop.clone(), tasks.clone());
    tokio::pin!(running);
    let result = signals.race(&mut running).await.unwrap_or(Ok(()));
    tracing::info!("shutting down");
    stop.cancel();
    let ended = async {
        // After the cancellation, it ends by itself.
        if result.is_ok() {
            let _stopped = running.await;
        }
        tasks.close();
        tasks.wait().await;
    };
    tokio::select! {
        () = ended => {}
        () = tokio::time::sleep(STOP_TIMEOUT) => tracing::warn!("shutdown incomplete after {STOP_TIMEOUT:?}"),
        () = signals.next() => tracing::warn!("shutdown aborted by a second signal"),
    }
    result
}

async fn serve(
    client: Client,
    args: RunArgs,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> Result<(), RunError> {
    let RunArgs { metrics_listen, namespace, .. } = args.clone();
    let metrics = Arc::new(Metrics::new()?);
    let listener =
        TcpListener::bind(metrics_listen).await.map_err(|error| RunError::Listen(metrics_listen, error))?;

    let channel_triggers = Triggers::default();
    let broker_triggers = Triggers::default();
    let everything = watcher::Config::default();
    let config = || Config::default().concurrency(CONCURRENCY);
    let channels =
        Controller::new(Api::<DeserializeGuard<MessageChannel>>::all(client.clone()), everything.clone())
            .with_config(config())
            .reconcile_on(channel_triggers.stream())
            .graceful_shutdown_on(stop.clone().cancelled_owned());
    // MessageBrokers in other namespaces belong to other operators.
    let brokers = Api::<DeserializeGuard<MessageBroker>>::namespaced(client.clone(), &namespace);
    let brokers = Controller::new(brokers, everything).with_config(config());
    let (channel_store, broker_store) = (channels.store(), brokers.store());
    let brokers = mapping::watch_children(brokers, &client, &namespace)
        .reconcile_on(broker_triggers.stream())
        .graceful_shutdown_on(stop.clone().cancelled_owned());
    let (pod_store, pod_writer) = reflector::store();

    let (seen_sender, seen) = watch::channel(false);
    let (default_sender, default_known) = watch::channel(false);
    let ownership = Arc::new(Ownership::new(namespace.clone()));

    let fatal = CancellationToken::new();
    let events = Events::new(client.clone(), args.identity());
    let default_differs = DefaultDiffers::new(
        args.default_broker_configmap.is_some(),
        broker_store.clone(),
        broker_triggers.clone(),
    );
    let fleet = Arc::new(Fleet::new(FleetContext {
        channels: channel_store.clone(),
        pods: pod_store.clone(),
        seen: seen.clone(),
        http: control::http_client()?,
        ownership: Arc::clone(&ownership),
        unsent: Arc::default(),
        metrics: Arc::clone(&metrics),
        events: events.clone(),
        channel_triggers: channel_triggers.clone(),
        broker_triggers,
        tasks,
        stop: stop.child_token(),
        fatal: fatal.clone(),
    }));
    let context = Arc::new(Context {
        client: client.clone(),
        args,
        ownership: Arc::clone(&ownership),
        events,
        metrics: Arc::clone(&metrics),
        backoffs: Backoffs::default(),
        last_writes: Arc::default(),
        failures: Failures::default(),
        reported: Reported::default(),
        default_differs,
        seen,
        started: Timestamp::now(),
        fleet: Arc::clone(&fleet),
        pods: pod_store.clone(),
        brokers: broker_store.clone(),
    });

    let ready = Arc::new(AtomicBool::new(false));
    let admin = Admin {
        ready: Arc::clone(&ready),
        ownership: Arc::clone(&ownership),
        metrics: Arc::clone(&metrics),
        channels: channel_store.clone(),
        brokers: broker_store.clone(),
    };
    let admin = admin::serve(listener, admin, stop.clone());
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let pods =
        watcher(pods, mapping::pods_and_claims()).default_backoff().reflect(pod_writer).touched_objects();
    let seen = async {
        // This runs in the task of the controllers, which wait for these stores themselves. Other tasks wait for
        // `seen`.
        let stores = tokio::join!(
            channel_store.wait_until_ready(),
            broker_store.wait_until_ready(),
            pod_store.wait_until_ready()
        );
        if let (Ok(()), Ok(()), Ok(())) = stores {
            seen_sender.send_replace(true);
        }
        tracing::info!(channels = channel_store.len(), brokers = broker_store.len(), "listed every resource");
        // Readiness requires it. Programming brokers does not: the owner of a channel with our finalizer does not
        // depend on the default operator.
        let known = default_known.clone().wait_for(|known| *known).await.is_ok();
        ready.store(known, Ordering::Relaxed);
        stop.cancelled().await;
        ready.store(false, Ordering::Relaxed);
    };
    let sweep = sweep(&context, &stop);
    let default_broker = async {
        if let Some(name) = &context.args.default_broker_configmap {
            default_broker::keep(Arc::clone(&context), name, stop.clone()).await;
        }
    };
    let default_operator = default_operator::follow(
        client.clone(),
        &ownership,
        &channel_store,
        &channel_triggers,
        &metrics,
        &stop,
        move || {
            default_sender.send_replace(true);
        },
    );
    let foreign_channels =
        foreign_channels::log_changes(&ownership, &channel_store, default_known.clone(), &stop);
    let work = async {
        tokio::select! {
            () = wait_for_definitions(&client, &namespace) => {}
            () = stop.cancelled() => return Ok(()),
        }
        tokio::join!(
            drive(
                channel::KIND,
                &metrics,
                channels.run(channel::reconcile, error_policy, Arc::clone(&context)),
            ),
            drive(broker::KIND, &metrics, brokers.run(broker::reconcile, error_policy, Arc::clone(&context)),),
            watch_pods(pods, &fleet, &metrics, &stop),
            seen,
            sweep,
            default_operator,
            foreign_channels,
            default_broker,
        );
        Ok::<(), RunError>(())
    };
    tokio::select! {
        // Each of these ends only at the shutdown.
        result = work => result?,
        result = admin => result.map_err(RunError::Admin)?,
        result = watchdog::watch(client.clone(), Arc::clone(&context.last_writes), stop.clone()) => result?,
        () = fatal.cancelled() => return Err(RunError::Ended("the task of a broker")),
    }
    if stop.is_cancelled() { Ok(()) } else { Err(RunError::Ended("a controller")) }
}

/// Waits until both definitions are installed. A watch on a missing kind would fail, with a long back-off.
async fn wait_for_definitions(client: &Client, namespace: &str) {
    let channels: Api<MessageChannel> = Api::all(client.clone());
    let brokers: Api<MessageBroker> = Api::namespaced(client.clone(), namespace);
    let mut warned = false;
    loop {
        match (is_served(&channels).await, is_served(&brokers).await) {
            (Ok(()), Ok(())) => return,
            (Err(error), _) | (_, Err(error)) if !warned => {
                warned = true;
                tracing::warn!(%error, "cannot list resources yet: check the custom resource definitions and the RBAC permissions");
            }
            _ => {}
        }
        tokio::time::sleep(DEFINITIONS_INTERVAL).await;
    }
}

async fn is_served<K>(objects: &Api<K>) -> Result<(), kube::Error>
where
    K: Clone + Debug + serde::de::DeserializeOwned,
{
    objects.list_metadata(&ListParams::default().limit(1)).await.map(|_| ())
}

async fn sweep(context: &Context, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
        let gone = context.fleet.sweep(|name| {
            let broker = context.brokers.get(&ObjectRef::new(name).within(&context.args.namespace));
            broker.is_some_and(|broker| {
                orphaned_children::note_policy(context, broker.meta());
                broker.meta().deletion_timestamp.is_none()
            })
        });
        for member in gone {
            if let Err(error) = orphaned_children::delete_with_owner(context, &member).await {
                tracing::warn!(broker = member.name, %error, "children of a deleted MessageBroker may be left behind");
            }
        }
    }
}

async fn watch_pods(
    pods: impl Stream<Item = Result<Pod, watcher::Error>>,
    fleet: &Fleet,
    metrics: &Metrics,
    stop: &CancellationToken,
) {
    let pods = pods.take_until(stop.cancelled());
    tokio::pin!(pods);
    while let Some(result) = pods.try_next().await.transpose() {
        match result {
            Ok(pod) => {
                if let Some(broker) = pod.labels().get(BROKER_LABEL) {
                    fleet.pod_changed(broker);
                }
            }
            Err(error) => watch_failed("Pod", metrics, &error),
        }
    }
}

/// A controller runs only while its stream is polled.
pub(crate) async fn drive<K>(
    kind: &'static str,
    metrics: &Metrics,
    reconciles: impl Stream<Item = Result<(ObjectRef<K>, Action), controller::Error<Error, watcher::Error>>>,
) where
    K: Resource<DynamicType = ()>,
{
    reconciles
        .for_each(|result| async move {
            match result {
                Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
                Err(controller::Error::ReconcilerFailed(error, object)) => {
                    tracing::warn!(kind, object = object.name, namespace = object.namespace, %error, "reconcile failed; retrying later");
                }
                Err(controller::Error::QueueError(error)) => watch_failed(kind, metrics, &error),
                Err(controller::Error::RunnerError(error)) => tracing::error!(kind, %error, "the controller failed"),
            }
        })
        .await;
}

pub(crate) fn watch_failed(kind: &str, metrics: &Metrics, error: &watcher::Error) {
    metrics.watch_errors.with_label_values(&[kind]).inc();
    tracing::warn!(kind, %error, "watch failed; restarting it");
}

fn error_policy<K: Resource>(object: Arc<K>, _: &Error, context: Arc<Context>) -> Action {
    Action::requeue(context.backoffs.failed(object.meta().uid.as_deref().unwrap_or_default()))
}
