//! Detects that etcd was restored to an older snapshot.
//!
//! After that, a watch resumes at a resourceVersion in the future. The server accepts it, and sends nothing until
//! enough was written. There is no error, and every reconcile reads outdated stores. Only a restart of the process
//! helps.

use std::{sync::Arc, time::Duration};

use kube::{Api, Client, api::ListParams};
use restante_crds::MessageChannel;
use tokio_util::sync::CancellationToken;

use crate::shared::last_writes::LastWrites;

/// The interval between two checks, and therefore how long the watches may receive nothing. A check costs the API
/// server one small quorum read.
const INTERVAL: Duration = Duration::from_secs(30);
/// The time limit of a check.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The API server is at an older resourceVersion than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API server is at resourceVersion {now}, but was at {seen} before: etcd was restored to an older state, and the \
     watches receive nothing; restarting"
)]
pub struct Restored {
    pub now: u64,
    pub seen: u64,
}

/// Returns an error as soon as the API server is older than before, and `Ok` when `stop` is cancelled.
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
        // Read before the request: a write during the request must not count as seen before.
        let seen = written.highest();
        match tokio::time::timeout(TIMEOUT, channels.list_metadata(&params)).await {
            Ok(Ok(list)) => {
                let now: Option<u64> =
                    list.metadata.resource_version.and_then(|version| version.parse().ok());
                if let Some(now) = now.filter(|now| *now < seen) {
                    return Err(Restored { now, seen });
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot read the resourceVersion of the API server"),
            Err(_) => tracing::warn!(
                "cannot read the resourceVersion of the API server: no answer within {TIMEOUT:?}"
            ),
        }
    }
}
