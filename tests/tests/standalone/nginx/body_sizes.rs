//! The sizes of requests: nginx as it comes takes a megabyte, and the broker more.

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use restante_wire::batch::{BATCH_BYTES_MAX, FRAMES_CONTENT_TYPE, ItemHead, encode_frame};

use super::{Way, every_way, header, installed, server::Nginx};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";
/// What nginx as it comes takes, which is the largest message of a channel by default.
const MEBIBYTE: usize = 1024 * 1024;
/// The largest message that a channel may allow.
const LARGEST: usize = 16 * MEBIBYTE;

#[tokio::test]
async fn a_message_of_the_default_size_passes_everywhere_byte_for_byte() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let content: Vec<u8> = (0..MEBIBYTE).map(|byte| (byte % 251) as u8).collect();
    for way in every_way(&broker).await? {
        let pushed = way.request(Method::POST, PATH).body(content.clone()).send().await?;
        ensure!(pushed.status() == StatusCode::CREATED, "{way}: {pushed:?}");
        let answer = way.pull(&format!("{PATH}?wait=5")).await?;
        let lease = header(&answer, "location")?;
        ensure!(answer.bytes().await? == content, "{way}: other bytes came");
        way.settle(&lease).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_over_a_mebibyte_is_refused_by_nginx_as_it_comes_in_html_and_nothing_is_stored() -> Result<()>
{
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "limits: {messageBytes: 16Mi}")).await?;
    let way = Way::new("through nginx as it comes", &broker, Some(Nginx::passing(&broker, "").await?))?;
    let refused = way.request(Method::POST, PATH).body(vec![7; MEBIBYTE + 1]).send().await?;
    ensure!(refused.status() == StatusCode::PAYLOAD_TOO_LARGE, "{refused:?}");
    // The broker's own would be problem+json, and would name the limit.
    ensure!(header(&refused, "content-type")? == "text/html", "{refused:?}");
    ensure!(broker.stats("orders").await?.messages() == 0);
    Ok(())
}

#[tokio::test]
async fn the_largest_message_and_the_largest_batch_pass_as_documented() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "limits: {messageBytes: 16Mi}")).await?;
    let way = Way::new("through nginx as documented", &broker, Some(Nginx::documented(&broker).await?))?;
    let pushed = way.request(Method::POST, PATH).body(vec![7; LARGEST]).send().await?;
    ensure!(pushed.status() == StatusCode::CREATED, "{pushed:?}");
    let answer = way.pull(&format!("{PATH}?wait=5")).await?;
    let lease = header(&answer, "location")?;
    ensure!(answer.bytes().await? == vec![7; LARGEST], "other bytes came");
    way.settle(&lease).await?;

    let mut batch = Vec::new();
    encode_frame(&ItemHead::default(), &[], &mut batch);
    let content = vec![7; BATCH_BYTES_MAX as usize - batch.len()];
    batch.clear();
    encode_frame(&ItemHead::default(), &content, &mut batch);
    ensure!(batch.len() as u64 == BATCH_BYTES_MAX);
    let pushed =
        way.request(Method::POST, "/v1/batches/acme/orders").header("content-type", FRAMES_CONTENT_TYPE);
    let pushed = pushed.body(batch).send().await?;
    ensure!(pushed.status() == StatusCode::OK, "{pushed:?}");
    let answer = way.pull(&format!("{PATH}?wait=5")).await?;
    ensure!(answer.bytes().await? == content, "other bytes came");
    Ok(())
}
