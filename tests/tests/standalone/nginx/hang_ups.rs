//! Receivers that hang up in the middle of an answer.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Response, StatusCode};
use restante_tests::wait;

use super::{Way, connection, every_way, header, installed, server::Nginx};
use crate::broker::{Broker, DEADLINE, channel};

const PATH: &str = "/v1/messages/acme/orders";
/// More than kernel and proxy take off the broker's hands while the receiver does not read.
const CONTENT_BYTES: usize = 16 * 1024 * 1024;
const ATTEMPT: &str = "\"attempt-7\"";

async fn serving_a_large_message() -> Result<(Broker, Vec<Way>)> {
    let broker = Broker::serving(&channel("orders", "limits: {messageBytes: 16Mi}")).await?;
    let ways = every_way(&broker).await?;
    put_a_large_message(&ways).await?;
    Ok((broker, ways))
}

fn content() -> Vec<u8> {
    (0..CONTENT_BYTES).map(|byte| (byte % 251) as u8).collect()
}

/// Past nginx, which as it comes does not let it through.
async fn put_a_large_message(ways: &[Way]) -> Result<()> {
    let direct = ways.iter().find(|way| way.name == "directly").context("there is a way past nginx")?;
    direct.request(Method::POST, PATH).body(content()).send().await?.error_for_status()?;
    Ok(())
}

/// Asks for the message, reads the beginning of the answer, and hangs up. Gives the lease.
async fn hang_up(way: &Way, lease_seconds: u32, attempt: Option<&str>) -> Result<String> {
    let attempt = attempt.map_or(String::new(), |attempt| format!("Receive-Attempt-Id: {attempt}\r\n"));
    let request =
        format!("GET {PATH}?wait=5&lease={lease_seconds} HTTP/1.1\r\nHost: {}\r\n{attempt}\r\n", way.address);
    let begun = connection::begin(way.address, &request).await?;
    ensure!(begun.head.contains(" 200 ") && begun.header("message-deliveries")? == "1", "{}", begun.head);
    Ok(begun.header("location")?.to_owned())
}

/// The whole message came; it is settled, and the next put in its place.
async fn whole(way: &Way, ways: &[Way], answer: Response) -> Result<()> {
    let lease = header(&answer, "location")?;
    ensure!(answer.bytes().await? == content(), "{way}: other bytes came");
    way.settle(&lease).await?;
    put_a_large_message(ways).await
}

#[tokio::test]
async fn an_answer_that_was_cut_off_comes_again_at_once_by_its_attempt_id_under_the_same_lease() -> Result<()>
{
    if !installed()? {
        return Ok(());
    }
    let (_broker, ways) = serving_a_large_message().await?;
    for way in &ways {
        let lease = hang_up(way, 600, Some(ATTEMPT)).await?;
        let again = way.request(Method::GET, &format!("{PATH}?wait=0&lease=600"));
        let again = again.header("receive-attempt-id", ATTEMPT).send().await?;
        ensure!(again.status() == StatusCode::OK, "{way}: {again:?}");
        ensure!(header(&again, "location")? == lease, "{way}: not under {lease}: {again:?}");
        ensure!(header(&again, "message-deliveries")? == "1", "{way}: {again:?}");
        whole(way, &ways, again).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_large_answer_that_was_cut_off_is_back_at_once_and_does_not_count() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let (_broker, ways) = serving_a_large_message().await?;
    // An nginx that buffers may have all of it when the receiver hangs up.
    for way in ways.iter().filter(|way| !way.name.contains("as it comes")) {
        let lease = hang_up(way, 600, None).await?;
        let again = way.pull(&format!("{PATH}?wait=20&lease=600")).await?;
        ensure!(header(&again, "location")? != lease, "{way}: {again:?}");
        ensure!(header(&again, "message-deliveries")? == "1", "{way}: {again:?}");
        whole(way, &ways, again).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_had_left_the_broker_comes_again_after_its_lease_and_counts() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for way in every_way(&broker).await? {
        // So little goes to the kernel at once.
        let content = vec![7; 16 * 1024];
        way.request(Method::POST, PATH).body(content.clone()).send().await?.error_for_status()?;
        let lease = hang_up(&way, 1, None).await?;
        let again = way.pull(&format!("{PATH}?wait=20&lease=600")).await?;
        ensure!(header(&again, "message-deliveries")? == "2", "{way}: {again:?}");
        let next = header(&again, "location")?;
        ensure!(next != lease && again.bytes().await? == content, "{way}: {next}");
        way.settle(&next).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_nginx_that_ignores_hang_ups_takes_a_message_for_nobody() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let nginx = Nginx::passing(&broker, "proxy_ignore_client_abort on;").await?;
    let way = Way::new("through nginx that ignores hang-ups", &broker, Some(nginx))?;
    tokio::select! {
        answer = way.request(Method::GET, &format!("{PATH}?wait=20")).send() => anyhow::bail!("{answer:?}"),
        waiting = broker.until_metric("restante_waiting_receivers", 1.0) => waiting?,
    }
    way.request(Method::POST, PATH).body("seven bolts").send().await?.error_for_status()?;
    wait::until_async("the message to be leased to nobody", DEADLINE, || async {
        let stats = broker.stats("orders").await?;
        ensure!(stats.leased == 1, "{stats:?}");
        Ok::<(), anyhow::Error>(())
    })
    .await
}
