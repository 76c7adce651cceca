//! Long polls through a proxy that has its own time-outs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use restante_wire::channel::Delivery;
use tokio::task::JoinSet;

use super::{Route, every_route, header, installed, server::Nginx};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";
const WAITING: &str = "restante_waiting_receivers";
/// `proxy_read_timeout` of a default nginx, and the time-out of most other proxies.
const PROXY_TIMEOUT_SECONDS: u32 = 60;

#[tokio::test]
async fn the_time_out_response_passes_at_the_end_of_the_wait() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let mut polls = JoinSet::new();
    for route in every_route(&broker).await? {
        polls.spawn(async move {
            let began = Instant::now();
            let answer = route.request(Method::GET, &format!("{PATH}?wait=1")).send().await?;
            ensure!(answer.status() == StatusCode::NO_CONTENT, "{route}: {answer:?}");
            ensure!(header(&answer, "cache-control")? == "no-store", "{route}: {answer:?}");
            ensure!(began.elapsed() >= Duration::from_secs(1), "{route}: the broker did not wait");
            ensure!(answer.bytes().await?.is_empty(), "{route}: a time-out response has no content");
            Ok(())
        });
    }
    while let Some(polled) = polls.join_next().await {
        polled??;
    }
    Ok(())
}

/// A receiver waits, and a message is pushed meanwhile, both through the same route.
async fn wait_and_receive(broker: &Broker, route: &Route, method: Method, path: &str) -> Result<()> {
    let waits = async { anyhow::Ok(route.request(method, path).send().await?.error_for_status()?) };
    let comes = async {
        broker.until_metric(WAITING, 1.0).await?;
        let pushed = route.request(Method::POST, PATH).body("seven bolts").send().await?;
        ensure!(pushed.status() == StatusCode::CREATED, "{route}: {pushed:?}");
        Ok(())
    };
    let began = Instant::now();
    let (answer, ()) = tokio::try_join!(waits, comes)?;
    let took = began.elapsed();
    ensure!(answer.status() == StatusCode::OK, "{route}: {answer:?}");
    let lease = header(&answer, "location")?;
    ensure!(answer.bytes().await? == "seven bolts", "{route}");
    // A message that was held back until the end of the wait would take twice as long.
    ensure!(took < Duration::from_secs(10), "{route}: the message took {took:?}");
    route.settle(&lease).await
}

#[tokio::test]
async fn a_message_for_a_waiting_receiver_passes_at_once() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        wait_and_receive(&broker, &route, Method::GET, &format!("{PATH}?wait=20")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pull_by_post_waits_and_passes_as_well() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        wait_and_receive(&broker, &route, Method::POST, "/v1/receive/acme/orders?wait=20").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_waiting_receiver_that_hangs_up_loses_no_message() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        let request = route.request(Method::GET, &format!("{PATH}?wait=20")).send();
        let waiting = broker.until_metric(WAITING, 1.0);
        tokio::select! {
            answer = request => anyhow::bail!("{route}: the channel was empty, but the answer is {answer:?}"),
            waiting = waiting => waiting?,
        }
        broker.until_metric(WAITING, 0.0).await?;
        route.request(Method::POST, PATH).body("seven bolts").send().await?.error_for_status()?;
        let answer = route.pull(&format!("{PATH}?wait=0")).await?;
        ensure!(header(&answer, "message-deliveries")? == "1", "{route}: {answer:?}");
        route.settle(&header(&answer, "location")?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_whose_time_out_is_shorter_than_the_wait_answers_504_and_no_message_is_lost() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let nginx = Nginx::passing(&broker, "proxy_read_timeout 1s;").await?;
    let route = Route::new("through an impatient nginx", &broker, Some(nginx))?;
    let answer = route.request(Method::GET, &format!("{PATH}?wait=20")).send().await?;
    ensure!(answer.status() == StatusCode::GATEWAY_TIMEOUT, "{answer:?}");
    broker.until_metric(WAITING, 0.0).await?;
    route.request(Method::POST, PATH).body("seven bolts").send().await?.error_for_status()?;
    let answer = route.pull(&format!("{PATH}?wait=0")).await?;
    ensure!(header(&answer, "message-deliveries")? == "1", "{answer:?}");
    Ok(())
}

#[test]
fn the_longest_default_wait_is_well_below_the_time_outs_of_proxies() {
    let longest = Delivery::default().max_wait_seconds;
    assert!(longest <= PROXY_TIMEOUT_SECONDS / 2, "{longest} s");
}
