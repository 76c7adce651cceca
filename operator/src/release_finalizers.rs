//! Lets the MessageChannels of an operator go before it does: a namespace with a channel that no one finalizes never ends.

use std::{future, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    api::{ListParams, PartialObjectMeta, Patch, PatchParams},
};
use restante_crds::MessageChannel;
use serde_json::json;

use crate::{
    config::ReleaseArgs,
    error::Error,
    finalizer::{self, is_not_found},
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

/// Stops the operator, if told how, and takes its finalizer off every MessageChannel that has it. Deletes nothing: what is at
/// brokers stays there.
pub async fn release_finalizers(
    client: Client,
    namespace: &str,
    args: &ReleaseArgs,
) -> Result<(), ReleaseError> {
    let everything = async {
        if let (Some(deployment), Some(selector)) = (&args.deployment, &args.selector) {
            stop_operator(&client, namespace, deployment, selector).await?;
        }
        let released = release_all(&client, namespace).await?;
        tracing::info!(
            released,
            namespace,
            "every MessageChannel of this operator is let go; nothing was deleted"
        );
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(args.timeout_seconds), everything)
        .await
        .unwrap_or(Err(ReleaseError::TimedOut(args.timeout_seconds)))
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

/// Takes the finalizer of the operator of a namespace off every MessageChannel, and gives of how many.
async fn release_all(client: &Client, operator: &str) -> Result<usize, ReleaseError> {
    let everywhere: Api<MessageChannel> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut released = 0;
    loop {
        let page = match everywhere.list_metadata(&params).await {
            Ok(page) => page,
            // The definition is gone, and every channel with it.
            Err(error) if is_not_found(&error) => return Ok(released),
            Err(error) => return Err(Error::kube("list MessageChannels")(error).into()),
        };
        let held = page.items.iter().filter(|channel| finalizer::is_on(&channel.metadata, operator));
        let going = stream::iter(held).map(|channel| release(client, channel, operator));
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

async fn release(
    client: &Client,
    channel: &PartialObjectMeta<MessageChannel>,
    operator: &str,
) -> Result<(), ReleaseError> {
    let mut metadata = channel.metadata.clone();
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let api: Api<MessageChannel> = Api::namespaced(client.clone(), &namespace);
    for _ in 0..TRIES {
        match finalizer::take_off(&api, &metadata, operator).await {
            Ok(()) => return Ok(()),
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
