//! Runs the reconciles of a kind.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use kube::{
    Resource,
    runtime::{
        controller::{self, Action},
        reflector::ObjectRef,
        watcher,
    },
};

use super::error::Error;
use crate::{context::Context, metrics::Metrics};

/// Polls the reconciles: a controller runs only while its stream is polled.
pub async fn drive<K>(
    kind: &str,
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

/// Reports a watch that failed. It is restarted.
pub fn watch_failed(kind: &str, metrics: &Metrics, error: &watcher::Error) {
    metrics.watch_errors.with_label_values(&[kind]).inc();
    tracing::warn!(kind, %error, "watch failed; restarting it");
}

/// Retries a failed reconcile, with the back-off of its object.
pub fn error_policy<K: Resource>(object: Arc<K>, _: &Error, context: Arc<Context>) -> Action {
    Action::requeue(context.backoffs.failed(object.meta().uid.as_deref().unwrap_or_default()))
}
