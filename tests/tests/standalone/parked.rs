//! Waiting receivers need neither a thread of the broker nor polling.

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use restante_tests::usage::{status, wake_ups};
use tokio::task::JoinSet;

use crate::broker::{Broker, channel};

const RECEIVERS: u64 = 300;
/// Limit of wake-ups of the broker's threads in two seconds, for its heartbeats and the one request. Receivers that
/// polled only once a second would cause hundreds.
const WAKE_UPS_MAX: u64 = 100;

#[tokio::test]
async fn waiting_receivers_need_no_thread_and_no_polling() -> Result<()> {
    let delivery = "delivery: {maxWaitSeconds: 60}";
    let broker = Broker::serving(&[channel("orders", delivery), channel("quiet", delivery)].concat()).await?;
    let id = broker.id()?;
    let threads = status(id, "Threads")?;

    let mut waiting = JoinSet::new();
    for _ in 0..RECEIVERS {
        let (http, url) =
            (crate::broker::http()?, format!("{}/v1/messages/acme/orders?wait=60", broker.url()));
        waiting.spawn(async move { http.get(url).send().await });
    }
    broker.until_metric("restante_waiting_receivers", RECEIVERS as f64).await?;
    ensure!(status(id, "Threads")? == threads, "a waiting receiver has a thread");

    let before = wake_ups(id)?;
    // The broker itself measures the two seconds: a pull without a message.
    let answer = broker.request(Method::GET, "/v1/messages/acme/quiet?wait=2").await?;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let woken = wake_ups(id)? - before;
    ensure!(woken < WAKE_UPS_MAX, "{woken} wake-ups while {RECEIVERS} receivers waited for two seconds");
    ensure!(waiting.try_join_next().is_none(), "a receiver stopped waiting");
    Ok(())
}
