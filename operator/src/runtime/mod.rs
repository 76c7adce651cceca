//! Starts the operator's tasks, waits for a signal or for a task that must not end, and stops all tasks.

mod lead;
mod warm;

use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, api::ListParams};
use restante_crds::{MessageBroker, MessageChannel};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::warm::{Stores, Warm};
use crate::{
    admin::{self, Admin},
    config::RunArgs,
    context::Context,
    fleet::{Fleet, FleetContext, control},
    metrics::Metrics,
    ownership::Ownership,
    shared::{
        backoff::Backoffs, default_differs::DefaultDiffers, events::Events, reported::Reported,
        stalled::Failures,
    },
    signals::ShutdownSignals,
    watchdog,
};

/// Time limit of the shutdown. Nothing is lost if it is exceeded: every write can be repeated.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval between two checks for the definitions while they are not installed.
const DEFINITIONS_INTERVAL: Duration = Duration::from_secs(2);

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
    let (stores, writers) = warm::stores();
    let fatal = CancellationToken::new();
    let tokens = (stop.child_token(), fatal.clone());
    let context = context(client.clone(), args, Arc::clone(&metrics), &stores, tasks, tokens)?;
    let ready = Arc::new(AtomicBool::new(false));
    let admin = Admin {
        ready: Arc::clone(&ready),
        ownership: Arc::clone(&context.ownership),
        metrics: Arc::clone(&metrics),
        channels: stores.channels.clone(),
        brokers: stores.brokers.clone(),
    };
    let admin = admin::serve(listener, admin, stop.clone());
    let warm = Warm {
        client: &client,
        namespace: &namespace,
        stores: &stores,
        fleet: &context.fleet,
        metrics: &metrics,
        stop: &stop,
    };
    let work = async {
        tokio::select! {
            () = wait_for_definitions(&client, &namespace) => {}
            () = stop.cancelled() => return,
        }
        tokio::join!(warm::warm(warm, writers), lead::lead(&context, &stores, &ready, &stop));
    };
    tokio::select! {
        // Each of these ends only at the shutdown.
        () = work => {}
        result = admin => result.map_err(RunError::Admin)?,
        result = watchdog::watch(client.clone(), Arc::clone(&context.last_writes), stop.clone()) => result?,
        () = fatal.cancelled() => return Err(RunError::Ended("the task of a broker")),
    }
    if stop.is_cancelled() { Ok(()) } else { Err(RunError::Ended("a controller")) }
}

/// The state that all reconciles share.
fn context(
    client: Client,
    args: RunArgs,
    metrics: Arc<Metrics>,
    stores: &Stores,
    tasks: TaskTracker,
    (stop, fatal): (CancellationToken, CancellationToken),
) -> Result<Arc<Context>, RunError> {
    let ownership = Arc::new(Ownership::new(args.namespace.clone()));
    let events = Events::new(client.clone(), args.identity());
    let Stores { channels, brokers, pods, seen, channel_triggers, broker_triggers } = stores.clone();
    let default_differs = DefaultDiffers::new(
        args.default_broker_configmap.is_some(),
        brokers.clone(),
        broker_triggers.clone(),
    );
    let fleet = Arc::new(Fleet::new(FleetContext {
        channels,
        pods: pods.clone(),
        seen: seen.clone(),
        http: control::http_client()?,
        ownership: Arc::clone(&ownership),
        unsent: Arc::default(),
        metrics: Arc::clone(&metrics),
        events: events.clone(),
        channel_triggers,
        broker_triggers,
        tasks,
        stop,
        fatal,
    }));
    Ok(Arc::new(Context {
        client,
        args,
        ownership,
        events,
        metrics,
        backoffs: Backoffs::default(),
        last_writes: Arc::default(),
        failures: Failures::default(),
        reported: Reported::default(),
        default_differs,
        seen,
        started: Timestamp::now(),
        fleet,
        pods,
        brokers,
    }))
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
