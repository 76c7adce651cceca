//! What every reconcile shares.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{Client, core::DeserializeGuard, runtime::reflector::Store};
use restante_crds::MessageBroker;
use tokio::sync::watch;

use crate::{
    backoff::Backoffs, config::RunArgs, default_differs::DefaultDiffers, error::Error, events::Events,
    fleet::Fleet, jitter, last_writes::LastWrites, metrics::Metrics, ownership::Ownership, stalled::Failures,
    unreadable::Reported,
};

/// The longest reconcile. kube retries some answers by itself and has no read time-out.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(60);
/// When an object on which nothing happens is looked at again.
const STEADY: Duration = Duration::from_secs(300);

/// What every reconcile shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What was said on the command line.
    pub args: RunArgs,
    /// Which channels are this operator's.
    pub ownership: Arc<Ownership>,
    /// Events.
    pub events: Events,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Failures in a row, by object.
    pub backoffs: Backoffs,
    /// Our own last writes, by object.
    pub last_writes: Arc<LastWrites>,
    /// Since when resources fail.
    pub failures: Failures,
    /// Objects that were told to be unreadable.
    pub reported: Reported,
    /// Whether the default broker is as its installation asks.
    pub default_differs: DefaultDiffers,
    /// When the operator started: what it cannot reach yet is not away for that.
    pub started: Timestamp,
    /// The brokers that are served.
    pub fleet: Arc<Fleet>,
    /// Whether the lists of all resources are whole.
    pub seen: watch::Receiver<bool>,
    /// Every broker pod.
    pub pods: Store<Pod>,
    /// Every MessageBroker of the operator's namespace.
    pub brokers: Store<DeserializeGuard<MessageBroker>>,
}

impl Context {
    /// The time of day, for `lastTransitionTime`.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// When an object on which nothing happens is looked at again.
    pub fn steady(&self) -> Duration {
        jitter::around(STEADY)
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.backoffs.clear(uid);
        self.last_writes.forget(uid);
        self.failures.clear(uid);
        self.fleet.unsent().forget(uid);
    }

    /// Runs one reconcile: counted, timed, and never for ever.
    pub async fn measured<T>(
        &self,
        kind: &str,
        reconcile: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.metrics.reconciles.with_label_values(&[kind]).inc();
        let timer = self.metrics.reconcile_seconds.with_label_values(&[kind]).start_timer();
        let result = tokio::time::timeout(RECONCILE_TIMEOUT, reconcile)
            .await
            .unwrap_or(Err(Error::TimedOut(RECONCILE_TIMEOUT)));
        timer.observe_duration();
        if let Err(error) = &result {
            self.metrics.reconcile_errors.with_label_values(&[kind, error.label()]).inc();
        }
        result
    }
}
