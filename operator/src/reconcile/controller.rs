//! Runs the reconciles of a kind.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use kube::{
    Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{self, Action, Config},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    metrics::Metrics,
    reconcile::kind::Kind,
    shared::{error::Error, triggers::Triggers, watches::watch_failed},
};

/// Concurrent reconciles of one kind. More do not help: they wait for the API server.
const CONCURRENCY: u16 = 32;

/// A controller of the objects in a store. The watch of the store triggers its reconciles.
pub fn controller<K: Kind>(
    store: &Store<DeserializeGuard<K>>,
    triggers: &Triggers<DeserializeGuard<K>>,
    stop: &CancellationToken,
) -> Controller<DeserializeGuard<K>> {
    Controller::for_stream(stream::pending(), store.clone())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(triggers.stream())
        .graceful_shutdown_on(stop.clone().cancelled_owned())
}

/// Runs a controller until its shutdown.
pub async fn run<K: Kind>(controller: Controller<DeserializeGuard<K>>, context: &Arc<Context>) {
    let reconciles = controller.run(reconcile::<K>, error_policy, Arc::clone(context));
    drive(K::KIND, &context.metrics, reconciles).await;
}

async fn reconcile<K: Kind>(guard: Arc<DeserializeGuard<K>>, context: Arc<Context>) -> Result<Action, Error> {
    let action = context.measured(K::KIND, reconcile_newest(&guard, &context)).await?;
    context.backoffs.clear(&guard.uid().unwrap_or_default());
    Ok(action)
}

async fn reconcile_newest<K: Kind>(guard: &DeserializeGuard<K>, context: &Context) -> Result<Action, Error> {
    match &guard.0 {
        Ok(object) if context.last_writes.is_stale(object.meta()) => Ok(Action::await_change()),
        Ok(object) => object.reconcile(context).await,
        Err(invalid) => K::reconcile_unreadable(invalid, context).await,
    }
}

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

/// Retries a failed reconcile, with the back-off of its object.
fn error_policy<K: Resource>(object: Arc<K>, _: &Error, context: Arc<Context>) -> Action {
    Action::requeue(context.backoffs.failed(object.meta().uid.as_deref().unwrap_or_default()))
}
