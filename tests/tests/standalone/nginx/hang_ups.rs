//! Receivers that hang up in the middle of an answer.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Response, StatusCode};
use restante_tests::wait;

use super::{Route, connection, every_route, header, installed, server::Nginx};
use crate::broker::{Broker, DEADLINE, channel};

const PATH: &str = "/v1/messages/acme/orders";
/// More than the buffers of kernel and proxy hold while the receiver does not read.
const CONTENT_BYTES: usize = 16 * 1024 * 1024;
const ATTEMPT: &str = "\"attempt-7\"";

async fn serving_large_message() -> Result<(Broker, Vec<Route>)> {
    let broker = Broker::serving(&channel("orders", "limits: {messageBytes: 16Mi}")).await?;
    let routes = every_route(&broker).await?;
    push_large_message(&routes).await?;
    Ok((broker, routes))
}

fn content() -> Vec<u8> {
    (0..CONTENT_BYTES).map(|byte| (byte % 251) as u8).collect()
}

/// Pushes directly to the broker, because a default nginx refuses a message of this size.
async fn push_large_message(routes: &[Route]) -> Result<()> {
    let direct = routes.iter().find(|route| route.name == "directly").context("no direct route")?;
    direct.request(Method::POST, PATH).body(content()).send().await?.error_for_status()?;
    Ok(())
}

/// Pulls the message, reads the beginning of the answer, and hangs up. Returns the lease.
async fn hang_up(route: &Route, lease_seconds: u32, attempt: Option<&str>) -> Result<String> {
    let attempt = attempt.map_or(String::new(), |attempt| format!("Receive-Attempt-Id: {attempt}\r\n"));
    let request = format!(
        "GET {PATH}?wait=5&lease={lease_seconds} HTTP/1.1\r\nHost: {}\r\n{attempt}\r\n",
        route.address
    );
    let begun = connection::begin_answer(route.address, &request).await?;
    ensure!(begun.head.contains(" 200 ") && begun.header("message-deliveries")? == "1", "{}", begun.head);
    Ok(begun.header("location")?.to_owned())
}

/// Checks that the whole message arrived, settles it, and pushes the next one.
async fn receive_whole(route: &Route, routes: &[Route], answer: Response) -> Result<()> {
    let lease = header(&answer, "location")?;
    ensure!(answer.bytes().await? == content(), "{route}: the body differs");
    route.settle(&lease).await?;
    push_large_message(routes).await
}

#[tokio::test]
async fn a_cut_off_answer_is_repeated_at_once_by_its_attempt_id_with_the_same_lease() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let (_broker, routes) = serving_large_message().await?;
    for route in &routes {
        let lease = hang_up(route, 600, Some(ATTEMPT)).await?;
        let again = route.request(Method::GET, &format!("{PATH}?wait=0&lease=600"));
        let again = again.header("receive-attempt-id", ATTEMPT).send().await?;
        ensure!(again.status() == StatusCode::OK, "{route}: {again:?}");
        ensure!(header(&again, "location")? == lease, "{route}: not under {lease}: {again:?}");
        ensure!(header(&again, "message-deliveries")? == "1", "{route}: {again:?}");
        receive_whole(route, &routes, again).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_message_whose_large_answer_was_cut_off_returns_at_once_uncounted() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let (_broker, routes) = serving_large_message().await?;
    // A buffering nginx may have read the whole answer when the receiver hangs up.
    for route in routes.iter().filter(|route| !route.name.contains("default")) {
        let lease = hang_up(route, 600, None).await?;
        let again = route.pull(&format!("{PATH}?wait=20&lease=600")).await?;
        ensure!(header(&again, "location")? != lease, "{route}: {again:?}");
        ensure!(header(&again, "message-deliveries")? == "1", "{route}: {again:?}");
        receive_whole(route, &routes, again).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_message_whose_answer_had_left_the_broker_returns_after_its_lease_and_counts() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        // A message of this size is in the kernel's buffer at once.
        let content = vec![7; 16 * 1024];
        route.request(Method::POST, PATH).body(content.clone()).send().await?.error_for_status()?;
        let lease = hang_up(&route, 1, None).await?;
        let again = route.pull(&format!("{PATH}?wait=20&lease=600")).await?;
        ensure!(header(&again, "message-deliveries")? == "2", "{route}: {again:?}");
        let next = header(&again, "location")?;
        ensure!(next != lease && again.bytes().await? == content, "{route}: {next}");
        route.settle(&next).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_nginx_that_ignores_hang_ups_leases_a_message_for_a_receiver_that_is_gone() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let nginx = Nginx::passing(&broker, "proxy_ignore_client_abort on;").await?;
    let route = Route::new("through nginx that ignores hang-ups", &broker, Some(nginx))?;
    tokio::select! {
        answer = route.request(Method::GET, &format!("{PATH}?wait=20")).send() => anyhow::bail!("{answer:?}"),
        waiting = broker.until_metric("restante_waiting_receivers", 1.0) => waiting?,
    }
    route.request(Method::POST, PATH).body("seven bolts").send().await?.error_for_status()?;
    wait::until_async("the message to be leased to nobody", DEADLINE, || async {
        let stats = broker.stats("orders").await?;
        ensure!(stats.leased == 1, "{stats:?}");
        Ok::<(), anyhow::Error>(())
    })
    .await
}
