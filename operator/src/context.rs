//! The state that all reconciles share.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{Client, core::DeserializeGuard, runtime::reflector::Store};
use restante_crds::MessageBroker;
use tokio::sync::watch;

use crate::{
    config::RunArgs,
    fleet::Fleet,
    metrics::Metrics,
    ownership::Ownership,
    shared::{
        backoff::Backoffs, default_differs::DefaultDiffers, error::Error, events::Events, jitter,
        last_writes::LastWrites, reported::Reported, stalled::Failures,
    },
};

/// Time limit of a reconcile. kube retries some answers itself and has no read time-out.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(60);
/// The interval between reconciles of an unchanged object.
const STEADY: Duration = Duration::from_secs(300);

/// The state that all reconciles share.
pub struct Context {
    pub client: Client,
    pub args: RunArgs,
    pub ownership: Arc<Ownership>,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    pub backoffs: Backoffs,
    pub last_writes: Arc<LastWrites>,
    pub failures: Failures,
    /// Unreadable objects that are already reported.
    pub reported: Reported,
    pub default_differs: DefaultDiffers,
    /// When the operator started. A broker that it has not reached since then is not yet counted as unreachable.
    pub started: Timestamp,
    pub fleet: Arc<Fleet>,
    /// Whether the lists of all resources are complete.
    pub seen: watch::Receiver<bool>,
    /// Every broker pod.
    pub pods: Store<Pod>,
    /// Every MessageBroker in the operator's namespace.
    pub brokers: Store<DeserializeGuard<MessageBroker>>,
}

impl Context {
    /// The wall clock time, for `lastTransitionTime`.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The interval between reconciles of an unchanged object.
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

    /// Runs a reconcile with a time limit, and updates the metrics.
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
