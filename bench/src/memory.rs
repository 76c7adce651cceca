//! Resident memory of a process after it has returned its freed pages to the system.

use std::time::{Duration, Instant};

use anyhow::Result;
use restante_tests::usage::status;
use tokio::time::sleep;

use crate::{
    broker::{ADDRESS, Broker, http},
    stream::Stream,
};

/// jemalloc keeps freed pages for ten seconds, to reuse them.
const RETURNED_AFTER: Duration = Duration::from_secs(12);
/// jemalloc returns pages only when it is called, so the broker gets a request at this interval.
const CALLED_EVERY: Duration = Duration::from_millis(20);

/// Resident bytes of a broker that is idle and has returned its freed pages.
pub(crate) async fn at_rest(broker: &Broker) -> Result<f64> {
    let mut stream = Stream::open(broker.server.address).await?;
    let began = Instant::now();
    while began.elapsed() < RETURNED_AFTER {
        stream.send(&http::get(&format!("/v1/channels/{ADDRESS}"))).await?;
        http::status(&mut stream, 200).await?;
        broker.metric("restante_waiting_receivers").await?;
        sleep(CALLED_EVERY).await;
    }
    resident(broker)
}

/// Resident bytes of a broker now.
pub(crate) fn resident(broker: &Broker) -> Result<f64> {
    Ok(status(broker.server.id(), "VmRSS")? as f64 * 1024.0)
}
