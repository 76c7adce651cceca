//! Removes an operator's finalizer from its MessageChannels, before the operator is uninstalled. Otherwise a namespace
//! with a deleted channel would stay in Terminating forever. The statuses of the channels, and of the MessageBrokers,
//! then say that their operator is uninstalled.

use std::{future, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::DeserializeGuard,
    runtime::events::EventType,
};
use restante_crds::{MessageBroker, MessageChannel};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::{
    config::ReleaseArgs,
    kinds::{
        broker,
        channel::{orphaned, uninstalled},
    },
    ownership::Claims,
    shared::finalizer::{self, is_not_found},
    shared::{error::Error, events::Events},
};

/// Objects per page of the list.
const PAGE: u32 = 500;
/// Attempts per channel, if others write to it at the same time.
const TRIES: u32 = 5;
/// Channels released concurrently. The limit is the API server.
const CONCURRENCY: usize = 16;
/// The interval between two lists of the operator's pods while they stop.
const PODS_INTERVAL: Duration = Duration::from_millis(500);

/// Why not every MessageChannel was released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Operator(#[from] Error),
    /// Another process writes to the channel all the time.
    #[error("MessageChannel {0} changed {TRIES} times while it was being released; stop the operator first")]
    Contended(String),
    #[error(
        "time limit of {0} s exceeded before every MessageChannel was released; run the command again, or see `kubectl get mc -A`"
    )]
    TimedOut(u64),
}

/// Stops the operator, if its Deployment is given. Then reports in the status of each of its MessageChannels that the
/// operator is uninstalled, and removes its finalizer. Deletes nothing: channels and messages stay at their brokers.
pub async fn release_finalizers(
    client: Client,
    namespace: &str,
    args: &ReleaseArgs,
) -> Result<(), ReleaseError> {
    let end = Instant::now() + Duration::from_secs(args.timeout_seconds);
    let everything = async {
        if let (Some(deployment), Some(selector)) = (&args.deployment, &args.selector) {
            stop_operator(&client, namespace, deployment, selector).await?;
        }
        let now = Instant::now();
        // Half of the remaining time.
        let report_until = now + end.saturating_duration_since(now) / 2;
        let events = Events::new(client.clone(), namespace.to_owned());
        let release = Release { client: &client, operator: namespace, events: &events, report_until };
        let (released, ()) = tokio::join!(release_all(release), report_to_brokers(release));
        let released = released?;
        tracing::info!(
            released,
            namespace,
            "released every MessageChannel of this operator; nothing was deleted"
        );
        Ok(())
    };
    timeout_at(end, everything).await.unwrap_or(Err(ReleaseError::TimedOut(args.timeout_seconds)))
}

/// Scales the operator to 0 and waits until its pods are gone, so that no finalizer is added again.
async fn stop_operator(client: &Client, namespace: &str, name: &str, selector: &str) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let nothing = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    match deployments.patch_scale(name, &PatchParams::default(), &nothing).await {
        Ok(_) => {}
        Err(error) if is_not_found(&error) => {}
        Err(error) => return Err(Error::kube(format!("scale Deployment {name} to 0"))(error)),
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let selected = ListParams::default().labels(selector);
    loop {
        let left =
            pods.list_metadata(&selected).await.map_err(Error::kube("list the operator's pods"))?.items.len();
        if left == 0 {
            return Ok(());
        }
        tracing::info!(left, "waiting for the operator's pods to stop");
        tokio::time::sleep(PODS_INTERVAL).await;
    }
}

/// The parameters of a release.
#[derive(Clone, Copy)]
struct Release<'a> {
    client: &'a Client,
    /// The namespace of the operator.
    operator: &'a str,
    events: &'a Events,
    /// The deadline for writes of statuses. They must leave enough time for the finalizers.
    report_until: Instant,
}

/// Reports in the status of every MessageBroker that its operator is uninstalled. A failure is only logged.
async fn report_to_brokers(release: Release<'_>) {
    let brokers: Api<DeserializeGuard<MessageBroker>> =
        Api::namespaced(release.client.clone(), release.operator);
    let telling = async {
        let found = match brokers.list(&ListParams::default()).await {
            Ok(found) => found.items,
            // The definition is deleted, and with it every MessageBroker.
            Err(error) if is_not_found(&error) => return Ok(()),
            Err(error) => return Err(Error::kube("list MessageBrokers")(error)),
        };
        // The status of an unreadable MessageBroker already says that it is not Ready.
        let readable = found.into_iter().filter_map(|broker| broker.0.ok());
        stream::iter(readable)
            .map(|broker| async move { report_to_broker(release.client, &broker).await })
            .buffer_unordered(CONCURRENCY)
            .for_each(|()| future::ready(()))
            .await;
        Ok(())
    };
    let error = match timeout_at(release.report_until, telling).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "timed out".to_owned(),
    };
    let namespace = release.operator;
    tracing::warn!(
        namespace,
        error,
        "cannot report in every MessageBroker's status that its operator is uninstalled"
    );
}

async fn report_to_broker(client: &Client, broker: &MessageBroker) {
    let status = broker::uninstalled(broker, Timestamp::now());
    match crate::reconcile::status::apply(client, broker, &status).await {
        Err(error) if !error.is_gone() => {
            let (name, namespace) = (broker.name_any(), broker.namespace().unwrap_or_default());
            tracing::warn!(broker = name, namespace, %error, "cannot report in the status that the operator is uninstalled");
        }
        _ => {}
    }
}

/// Removes the operator's finalizer from every MessageChannel, and returns the number of channels.
async fn release_all(release: Release<'_>) -> Result<usize, ReleaseError> {
    let everywhere: Api<DeserializeGuard<MessageChannel>> = Api::all(release.client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut released = 0;
    loop {
        let page = match everywhere.list(&params).await {
            Ok(page) => page,
            // The definition is deleted, and with it every channel.
            Err(error) if is_not_found(&error) => return Ok(released),
            Err(error) => return Err(Error::kube("list MessageChannels")(error).into()),
        };
        let held = page.items.iter().filter(|channel| finalizer::is_on(channel.meta(), release.operator));
        let going = stream::iter(held).map(|channel| release_channel(release, channel));
        released += going
            .buffer_unordered(CONCURRENCY)
            .try_fold(0, |released, ()| future::ready(Ok(released + 1)))
            .await?;
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(released),
        }
    }
}

/// Reports in a channel's status that its operator is uninstalled, if possible, and removes the finalizer.
async fn release_channel(
    release: Release<'_>,
    channel: &DeserializeGuard<MessageChannel>,
) -> Result<(), ReleaseError> {
    let reported = match &channel.0 {
        Ok(channel) => report_uninstalled(release, channel).await,
        // No broker has an unreadable channel.
        Err(_) => None,
    };
    let mut metadata = reported.unwrap_or_else(|| channel.meta().clone());
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let api: Api<MessageChannel> = Api::namespaced(release.client.clone(), &namespace);
    for _ in 0..TRIES {
        match finalizer::remove(&api, &metadata, release.operator).await {
            Ok(()) => {
                if let Ok(channel) = &channel.0 {
                    report_orphan(release, channel).await;
                }
                return Ok(());
            }
            Err(error) if error.label() == "conflict" => {
                let params = ListParams::default().fields(&format!("metadata.name={name}"));
                let newer =
                    api.list_metadata(&params).await.map_err(Error::kube("read the channel again"))?;
                match newer.items.into_iter().next() {
                    Some(newer) => metadata = newer.metadata,
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(ReleaseError::Contended(format!("{namespace}/{name}")))
}

/// Reports the end of a channel whose deletion waited for its messages: the channel disappears now, and its status with
/// it.
async fn report_orphan(release: Release<'_>, channel: &MessageChannel) {
    let Some(note) = orphaned(channel, release.operator) else { return };
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    tracing::warn!(channel = name, namespace, "{note}");
    let event = release.events.publish(channel, EventType::Warning, "Orphaned", note);
    // If there is no time left for the event, the log line above remains.
    let _in_time = timeout_at(release.report_until, event).await;
}

/// Writes the status of a channel that is being released, and returns the new metadata. A failure is only logged.
async fn report_uninstalled(release: Release<'_>, channel: &MessageChannel) -> Option<ObjectMeta> {
    let status = uninstalled(channel, release.operator, Timestamp::now());
    let written =
        timeout_at(release.report_until, crate::reconcile::status::apply(release.client, channel, &status))
            .await;
    let error = match written {
        Ok(Ok(metadata)) => return Some(metadata),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "timed out".to_owned(),
    };
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    let next = next_owner(channel, release.operator);
    tracing::warn!(
        channel = name,
        namespace,
        error,
        "released without a report in the status that the operator is uninstalled: {next}"
    );
    None
}

/// The owner of a channel after the operator's finalizer was removed.
fn next_owner(channel: &MessageChannel, operator: &str) -> String {
    let mut metadata = channel.metadata.clone();
    metadata.finalizers.get_or_insert_default().retain(|one| *one != finalizer::of(operator));
    match (Claims { metadata: &metadata, ..channel.into() }).operator() {
        Some(operator) => format!("the channel waits for an operator in namespace {operator}"),
        None => "the default operator may take over the channel".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_next_owner_is_the_named_operator_or_the_operator_of_the_broker() {
        let next = |spec: Value, status: Value, finalizers: &[&str]| {
            let channel: MessageChannel = serde_json::from_value(json!({
                "apiVersion": "restante.dev/v1alpha1",
                "kind": "MessageChannel",
                "metadata": { "name": "orders", "namespace": "acme", "finalizers": finalizers },
                "spec": { "brokerRef": spec, "access": { "anonymous": true } },
                "status": status,
            }))
            .unwrap();
            next_owner(&channel, "mq")
        };
        let waits = |namespace: &str| format!("the channel waits for an operator in namespace {namespace}");
        let (nothing, held) = (json!({}), ["restante.dev/mq"]);
        assert_eq!(next(json!({ "namespace": "mq" }), nothing.clone(), &held), waits("mq"));
        assert_eq!(next(nothing.clone(), json!({ "broker": "mq/default" }), &held), waits("mq"));
        assert_eq!(
            next(nothing.clone(), nothing.clone(), &["restante.dev/mq", "restante.dev/other"]),
            waits("other")
        );
        assert_eq!(next(nothing.clone(), nothing, &held), "the default operator may take over the channel");
    }
}
