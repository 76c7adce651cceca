//! Notices that etcd was restored to an older snapshot.
//!
//! A watch then resumes at a resourceVersion of the future: the server accepts it and sends nothing, until enough was
//! written. No error is seen, and every reconcile reads an old store. The remedy is to start anew.

use std::{sync::Arc, time::Duration};

use kube::{Api, Client, api::ListParams};
use restante_crds::MessageChannel;
use tokio_util::sync::CancellationToken;

use crate::last_writes::LastWrites;

/// Between two looks: how long the operator may be blind. Each costs the API server one small quorum read.
const INTERVAL: Duration = Duration::from_secs(30);
/// An answer that takes longer says nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The API server is older than what was seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API server is at resourceVersion {now}, and {seen} was seen before: etcd was restored to an older state, and the \
     watches are blind. Starting anew"
)]
pub struct Restored {
    /// Where the API server is.
    pub now: u64,
    /// What was seen before.
    pub seen: u64,
}

/// Returns an error when the API server is older than what was seen of it; ends without one when told to stop.
pub async fn watch(
    client: Client,
    written: Arc<LastWrites>,
    stop: CancellationToken,
) -> Result<(), Restored> {
    let channels: Api<MessageChannel> = Api::all(client);
    // Without a resourceVersion the list is read from etcd, with quorum.
    let params = ListParams::default().limit(1);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        // Taken before the question: what is written while it is answered must not look like the future.
        let seen = written.highest();
        match tokio::time::timeout(TIMEOUT, channels.list_metadata(&params)).await {
            Ok(Ok(list)) => {
                let now: Option<u64> =
                    list.metadata.resource_version.and_then(|version| version.parse().ok());
                if let Some(now) = now.filter(|now| *now < seen) {
                    return Err(Restored { now, seen });
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot ask the API server for its resourceVersion"),
            Err(_) => tracing::warn!("the API server does not say its resourceVersion within {TIMEOUT:?}"),
        }
    }
}
