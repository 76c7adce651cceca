//! Lets the MessageChannels of an operator go before it does: a namespace with a channel that no one finalizes never ends. And
//! tells in them, and in its MessageBrokers, that nobody looks after them any more.

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
    error::Error,
    events::Events,
    finalizer::{self, is_not_found},
    message_broker,
    message_channel::{orphaned, status, uninstalled},
    ownership::Claims,
};

/// Objects in one page of the list.
const PAGE: u32 = 500;
/// How often one channel is tried when others write to it at the same time.
const TRIES: u32 = 5;
/// Channels that are let go at once. The API server is what they wait for.
const AT_ONCE: usize = 16;
/// How often the operator's pods are looked for while they stop.
const PODS_INTERVAL: Duration = Duration::from_millis(500);

/// Why not every MessageChannel could be let go.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Operator(#[from] Error),
    /// Something else keeps writing to it.
    #[error("MessageChannel {0} changed {TRIES} times while it was being let go: stop the operator first")]
    Contended(String),
    /// Out of time.
    #[error("not everything was let go within {0} s: try again, or see what `kubectl get mc -A` still shows")]
    TimedOut(u64),
}

/// ShutdownSignals the operator, if told how, and takes its finalizer off every MessageChannel that has it, which its status tells
/// before. Deletes nothing: what is at brokers stays there.
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
        // Half of the time that is left.
        let report_until = now + end.saturating_duration_since(now) / 2;
        let events = Events::new(client.clone(), namespace.to_owned());
        let release = Release { client: &client, operator: namespace, events: &events, report_until };
        let (released, ()) = tokio::join!(release_all(release), report_to_brokers(release));
        let released = released?;
        tracing::info!(
            released,
            namespace,
            "every MessageChannel of this operator is let go; nothing was deleted"
        );
        Ok(())
    };
    timeout_at(end, everything).await.unwrap_or(Err(ReleaseError::TimedOut(args.timeout_seconds)))
}

/// Scales the operator to nothing and waits until it is gone, so that no finalizer comes back.
async fn stop_operator(client: &Client, namespace: &str, name: &str, selector: &str) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let nothing = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    match deployments.patch_scale(name, &PatchParams::default(), &nothing).await {
        Ok(_) => {}
        Err(error) if is_not_found(&error) => {}
        Err(error) => return Err(Error::kube(format!("scale Deployment {name} to nothing"))(error)),
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

/// What the channels of an operator are let go with.
#[derive(Clone, Copy)]
struct Release<'a> {
    client: &'a Client,
    /// The namespace of the operator.
    operator: &'a str,
    /// Tells of what goes.
    events: &'a Events,
    /// Until when statuses are written. They must not take the finalizers' time.
    report_until: Instant,
}

/// Tells in the status of every MessageBroker of an operator that nobody looks after it any more. Those that go with the release
/// go all the same. What is not told is logged, and keeps nothing.
async fn report_to_brokers(release: Release<'_>) {
    let brokers: Api<DeserializeGuard<MessageBroker>> =
        Api::namespaced(release.client.clone(), release.operator);
    let telling = async {
        let found = match brokers.list(&ListParams::default()).await {
            Ok(found) => found.items,
            // The definition is gone, and every MessageBroker with it.
            Err(error) if is_not_found(&error) => return Ok(()),
            Err(error) => return Err(Error::kube("list MessageBrokers")(error)),
        };
        // One that cannot be read is not Ready, and says so.
        let readable = found.into_iter().filter_map(|broker| broker.0.ok());
        stream::iter(readable)
            .map(|broker| async move { report_to_broker(release.client, &broker).await })
            .buffer_unordered(AT_ONCE)
            .for_each(|()| future::ready(()))
            .await;
        Ok(())
    };
    let error = match timeout_at(release.report_until, telling).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "there is no time left for it".to_owned(),
    };
    let namespace = release.operator;
    tracing::warn!(
        namespace,
        error,
        "not every MessageBroker tells in its status that its operator is uninstalled"
    );
}

async fn report_to_broker(client: &Client, broker: &MessageBroker) {
    let status = message_broker::uninstalled(broker, Timestamp::now());
    match message_broker::status::apply(client, broker, &status).await {
        Err(error) if !error.is_of_absence() => {
            let (name, namespace) = (broker.name_any(), broker.namespace().unwrap_or_default());
            tracing::warn!(broker = name, namespace, %error, "its status does not tell that its operator is uninstalled");
        }
        _ => {}
    }
}

/// Takes the finalizer of an operator off every MessageChannel, and gives of how many.
async fn release_all(release: Release<'_>) -> Result<usize, ReleaseError> {
    let everywhere: Api<DeserializeGuard<MessageChannel>> = Api::all(release.client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut released = 0;
    loop {
        let page = match everywhere.list(&params).await {
            Ok(page) => page,
            // The definition is gone, and every channel with it.
            Err(error) if is_not_found(&error) => return Ok(released),
            Err(error) => return Err(Error::kube("list MessageChannels")(error).into()),
        };
        let held = page.items.iter().filter(|channel| finalizer::is_on(channel.meta(), release.operator));
        let going = stream::iter(held).map(|channel| release_channel(release, channel));
        released += going
            .buffer_unordered(AT_ONCE)
            .try_fold(0, |released, ()| future::ready(Ok(released + 1)))
            .await?;
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(released),
        }
    }
}

/// Tells in a channel's status that its operator is gone, if that can be, and takes the finalizer off.
async fn release_channel(
    release: Release<'_>,
    channel: &DeserializeGuard<MessageChannel>,
) -> Result<(), ReleaseError> {
    let told = match &channel.0 {
        Ok(channel) => report_uninstalled(release, channel).await,
        // No broker has it.
        Err(_) => None,
    };
    let mut metadata = told.unwrap_or_else(|| channel.meta().clone());
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

/// Tells of a channel that was deleted and kept for its messages: now it is gone, and its status with it.
async fn report_orphan(release: Release<'_>, channel: &MessageChannel) {
    let Some(note) = orphaned(channel, release.operator) else { return };
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    tracing::warn!(channel = name, namespace, "{note}");
    let event = release.events.publish(channel, EventType::Warning, "Orphaned", note);
    // Of what there is no time for, the log tells.
    let _in_time = timeout_at(release.report_until, event).await;
}

/// Writes the status of a channel that is let go, and gives its metadata then. What is not told is logged, and keeps nothing.
async fn report_uninstalled(release: Release<'_>, channel: &MessageChannel) -> Option<ObjectMeta> {
    let status = uninstalled(channel, release.operator, Timestamp::now());
    let written = timeout_at(release.report_until, status::apply(release.client, channel, &status)).await;
    let error = match written {
        Ok(Ok(metadata)) => return Some(metadata),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "there is no time left for it".to_owned(),
    };
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    let next = next_owner(channel, release.operator);
    tracing::warn!(
        channel = name,
        namespace,
        error,
        "let go without telling in its status that its operator is uninstalled: {next}"
    );
    None
}

/// Whose a channel is without the finalizer of an operator.
fn next_owner(channel: &MessageChannel, operator: &str) -> String {
    let mut metadata = channel.metadata.clone();
    metadata.finalizers.get_or_insert_default().retain(|one| *one != finalizer::of(operator));
    match (Claims { metadata: &metadata, ..channel.into() }).operator() {
        Some(operator) => format!("it waits for an operator in namespace {operator}"),
        None => "the default operator may take it".into(),
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
        let waits = |namespace: &str| format!("it waits for an operator in namespace {namespace}");
        let (nothing, held) = (json!({}), ["restante.dev/mq"]);
        assert_eq!(next(json!({ "namespace": "mq" }), nothing.clone(), &held), waits("mq"));
        assert_eq!(next(nothing.clone(), json!({ "broker": "mq/default" }), &held), waits("mq"));
        assert_eq!(
            next(nothing.clone(), nothing.clone(), &["restante.dev/mq", "restante.dev/other"]),
            waits("other")
        );
        assert_eq!(next(nothing.clone(), nothing, &held), "the default operator may take it");
    }
}
