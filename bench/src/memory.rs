//! What a process has of the machine's memory, once it has given back what it no longer needs.

use std::time::{Duration, Instant};

use anyhow::Result;
use restante_tests::usage::status;
use tokio::time::sleep;

use crate::{
    broker::{ADDRESS, Broker, http},
    stream::Stream,
};

/// jemalloc keeps freed pages for ten seconds, in the hope that they are wanted again.
const GIVEN_BACK_AFTER: Duration = Duration::from_secs(12);
/// It looks at them only when it is called.
const CALLED_EVERY: Duration = Duration::from_millis(20);

/// Bytes of memory of a broker that has come to rest.
pub(crate) async fn at_rest(broker: &Broker) -> Result<f64> {
    let mut stream = Stream::open(broker.server.address).await?;
    let began = Instant::now();
    while began.elapsed() < GIVEN_BACK_AFTER {
        stream.send(&http::get(&format!("/v1/channels/{ADDRESS}"))).await?;
        http::status(&mut stream, 200).await?;
        broker.metric("restante_waiting_receivers").await?;
        sleep(CALLED_EVERY).await;
    }
    resident(broker)
}

/// Bytes of memory of a broker as it is.
pub(crate) fn resident(broker: &Broker) -> Result<f64> {
    Ok(status(broker.server.id(), "VmRSS")? as f64 * 1024.0)
}
