//! Lets every MessageChannel go before the operator does: a namespace with a channel that no one finalizes never ends.

use anyhow::Context as _;
use kube::{
    Api, Client,
    api::{ListParams, PartialObjectMeta},
};
use restante_crds::MessageChannel;

use crate::{
    error::Error,
    finalizer::{self, is_not_found},
};

/// Objects in one page of the list.
const PAGE: u32 = 500;
/// How often one channel is tried when others write to it at the same time.
const TRIES: u32 = 5;

/// Takes our finalizer off every MessageChannel. Deletes nothing: what is at brokers stays there.
pub async fn release_finalizers(client: Client) -> anyhow::Result<()> {
    let everywhere: Api<MessageChannel> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut released = 0;
    loop {
        let page = match everywhere.list_metadata(&params).await {
            Ok(page) => page,
            // The definition is gone, and every channel with it.
            Err(error) if is_not_found(&error) => break,
            Err(error) => return Err(error).context("cannot list MessageChannels"),
        };
        for channel in page.items.iter().filter(|channel| finalizer::is_on(&channel.metadata)) {
            release(&client, channel).await?;
            released += 1;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    tracing::info!(released, "every MessageChannel is let go; nothing was deleted");
    Ok(())
}

async fn release(client: &Client, channel: &PartialObjectMeta<MessageChannel>) -> anyhow::Result<()> {
    let mut metadata = channel.metadata.clone();
    let (namespace, name) =
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
    let api: Api<MessageChannel> = Api::namespaced(client.clone(), &namespace);
    for _ in 0..TRIES {
        match finalizer::take_off(&api, &metadata).await {
            Ok(()) => return Ok(()),
            Err(Error::Kube { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 409) =>
            {
                let params = ListParams::default().fields(&format!("metadata.name={name}"));
                let newer = api.list_metadata(&params).await.context("cannot read the channel again")?;
                match newer.items.into_iter().next() {
                    Some(newer) => metadata = newer.metadata,
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!(
        "MessageChannel {namespace}/{name} changed {TRIES} times while it was being let go: stop the operator first"
    )
}
