//! Request sizes: a default nginx accepts a mebibyte, and the broker more.

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use restante_wire::batch::{BATCH_BYTES_MAX, FRAMES_CONTENT_TYPE, ItemHead, encode_frame};

use super::{Route, every_route, header, installed, server::Nginx};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";
/// The limit of a default nginx, and the default `limits.messageBytes` of a channel.
const MEBIBYTE: usize = 1024 * 1024;
/// The maximum of `limits.messageBytes`.
const LARGEST: usize = 16 * MEBIBYTE;

#[tokio::test]
async fn a_message_of_the_default_size_passes_every_configuration_unchanged() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let content: Vec<u8> = (0..MEBIBYTE).map(|byte| (byte % 251) as u8).collect();
    for route in every_route(&broker).await? {
        let pushed = route.request(Method::POST, PATH).body(content.clone()).send().await?;
        ensure!(pushed.status() == StatusCode::CREATED, "{route}: {pushed:?}");
        let answer = route.pull(&format!("{PATH}?wait=5")).await?;
        let lease = header(&answer, "location")?;
        ensure!(answer.bytes().await? == content, "{route}: the body differs");
        route.settle(&lease).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_default_nginx_refuses_more_than_a_mebibyte_with_html_and_nothing_is_stored() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "limits: {messageBytes: 16Mi}")).await?;
    let route = Route::new("through a default nginx", &broker, Some(Nginx::passing(&broker, "").await?))?;
    let refused = route.request(Method::POST, PATH).body(vec![7; MEBIBYTE + 1]).send().await?;
    ensure!(refused.status() == StatusCode::PAYLOAD_TOO_LARGE, "{refused:?}");
    // The broker would answer problem+json and name the limit.
    ensure!(header(&refused, "content-type")? == "text/html", "{refused:?}");
    ensure!(broker.stats("orders").await?.messages() == 0);
    Ok(())
}

#[tokio::test]
async fn the_largest_message_and_the_largest_batch_pass_the_documented_nginx() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "limits: {messageBytes: 16Mi}")).await?;
    let route = Route::new("through the documented nginx", &broker, Some(Nginx::documented(&broker).await?))?;
    let pushed = route.request(Method::POST, PATH).body(vec![7; LARGEST]).send().await?;
    ensure!(pushed.status() == StatusCode::CREATED, "{pushed:?}");
    let answer = route.pull(&format!("{PATH}?wait=5")).await?;
    let lease = header(&answer, "location")?;
    ensure!(answer.bytes().await? == vec![7; LARGEST], "the body differs");
    route.settle(&lease).await?;

    let mut batch = Vec::new();
    encode_frame(&ItemHead::default(), &[], &mut batch);
    let content = vec![7; BATCH_BYTES_MAX as usize - batch.len()];
    batch.clear();
    encode_frame(&ItemHead::default(), &content, &mut batch);
    ensure!(batch.len() as u64 == BATCH_BYTES_MAX);
    let pushed =
        route.request(Method::POST, "/v1/batches/acme/orders").header("content-type", FRAMES_CONTENT_TYPE);
    let pushed = pushed.body(batch).send().await?;
    ensure!(pushed.status() == StatusCode::OK, "{pushed:?}");
    let answer = route.pull(&format!("{PATH}?wait=5")).await?;
    ensure!(answer.bytes().await? == content, "the body differs");
    Ok(())
}
