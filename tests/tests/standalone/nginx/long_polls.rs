//! Requests that are held, through a proxy that has time-outs of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use restante_wire::channel::Delivery;
use tokio::task::JoinSet;

use super::{Way, every_way, header, installed, server::Nginx};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";
const WAITING: &str = "restante_waiting_receivers";
/// `proxy_read_timeout` of nginx as it comes, and the time-outs of most others.
const PROXY_TIMEOUT_SECONDS: u32 = 60;

#[tokio::test]
async fn the_time_out_response_comes_through_when_the_wait_is_over() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let mut polls = JoinSet::new();
    for way in every_way(&broker).await? {
        polls.spawn(async move {
            let began = Instant::now();
            let answer = way.request(Method::GET, &format!("{PATH}?wait=1")).send().await?;
            ensure!(answer.status() == StatusCode::NO_CONTENT, "{way}: {answer:?}");
            ensure!(header(&answer, "cache-control")? == "no-store", "{way}: {answer:?}");
            ensure!(began.elapsed() >= Duration::from_secs(1), "{way}: it was not held");
            ensure!(answer.bytes().await?.is_empty(), "{way}: a time-out response has no content");
            Ok(())
        });
    }
    while let Some(polled) = polls.join_next().await {
        polled??;
    }
    Ok(())
}

/// A receiver waits one way, and a message comes another.
async fn waits_and_gets(broker: &Broker, way: &Way, method: Method, path: &str) -> Result<()> {
    let waits = async { anyhow::Ok(way.request(method, path).send().await?.error_for_status()?) };
    let comes = async {
        broker.until_metric(WAITING, 1.0).await?;
        let pushed = way.request(Method::POST, PATH).body("seven bolts").send().await?;
        ensure!(pushed.status() == StatusCode::CREATED, "{way}: {pushed:?}");
        Ok(())
    };
    let began = Instant::now();
    let (answer, ()) = tokio::try_join!(waits, comes)?;
    let took = began.elapsed();
    ensure!(answer.status() == StatusCode::OK, "{way}: {answer:?}");
    let lease = header(&answer, "location")?;
    ensure!(answer.bytes().await? == "seven bolts", "{way}");
    // Held back until the wait was over, it would have taken twice that.
    ensure!(took < Duration::from_secs(10), "{way}: the message took {took:?}");
    way.settle(&lease).await
}

#[tokio::test]
async fn a_message_that_comes_while_the_receiver_waits_comes_through_at_once() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for way in every_way(&broker).await? {
        waits_and_gets(&broker, &way, Method::GET, &format!("{PATH}?wait=20")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pull_by_post_waits_and_comes_through_as_well() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for way in every_way(&broker).await? {
        waits_and_gets(&broker, &way, Method::POST, "/v1/receive/acme/orders?wait=20").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_hangs_up_while_it_waits_costs_nothing() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for way in every_way(&broker).await? {
        let request = way.request(Method::GET, &format!("{PATH}?wait=20")).send();
        let waiting = broker.until_metric(WAITING, 1.0);
        tokio::select! {
            answer = request => anyhow::bail!("{way}: there was nothing, and the answer is {answer:?}"),
            waiting = waiting => waiting?,
        }
        broker.until_metric(WAITING, 0.0).await?;
        way.request(Method::POST, PATH).body("seven bolts").send().await?.error_for_status()?;
        let answer = way.pull(&format!("{PATH}?wait=0")).await?;
        ensure!(header(&answer, "message-deliveries")? == "1", "{way}: {answer:?}");
        way.settle(&header(&answer, "location")?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_is_less_patient_than_the_receiver_answers_504_and_costs_no_message() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let nginx = Nginx::passing(&broker, "proxy_read_timeout 1s;").await?;
    let way = Way::new("through an impatient nginx", &broker, Some(nginx))?;
    let answer = way.request(Method::GET, &format!("{PATH}?wait=20")).send().await?;
    ensure!(answer.status() == StatusCode::GATEWAY_TIMEOUT, "{answer:?}");
    broker.until_metric(WAITING, 0.0).await?;
    way.request(Method::POST, PATH).body("seven bolts").send().await?.error_for_status()?;
    let answer = way.pull(&format!("{PATH}?wait=0")).await?;
    ensure!(header(&answer, "message-deliveries")? == "1", "{answer:?}");
    Ok(())
}

#[test]
fn the_longest_wait_by_default_is_well_below_the_time_outs_of_proxies() {
    let longest = Delivery::default().max_wait_seconds;
    assert!(longest <= PROXY_TIMEOUT_SECONDS / 2, "{longest} s");
}
