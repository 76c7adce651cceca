//! Many messages in one request and in one answer.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use restante_wire::{
    batch::{
        Content, DeliveredHead, DeliveredItem, FRAMES_CONTENT_TYPE, Item, ItemHead, PulledBatch, PushBatch,
        PushResults, decode_frames, encode_frame,
    },
    path,
};

use super::{Route, every_route, header, installed};
use crate::{
    broker::{Broker, channel},
    content,
};

/// The largest request that a default nginx accepts: `client_max_body_size 1m`.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Number and sizes of contents, so that a batch is just below that limit with its heads and, in JSON, with base64.
const MESSAGES: u64 = 50;
const JSON_CONTENT_BYTES: usize = 15_500;
const FRAMES_CONTENT_BYTES: usize = 20_800;
const JSON: &str = "application/json";

/// Contents of this size each.
fn contents(bytes: usize) -> Vec<Vec<u8>> {
    let whole = |key| content::of(key, 4 * bytes).into_iter().cycle().take(bytes).collect();
    (0..MESSAGES).map(whole).collect()
}

/// The head of the n-th message.
fn head(number: usize) -> ItemHead {
    ItemHead { content_type: Some(format!("image/png;n={number}")), ..ItemHead::default() }
}

fn in_json(contents: &[Vec<u8>]) -> Result<Vec<u8>> {
    let item =
        |(number, content): (usize, &Vec<u8>)| Item { content: Content(content.clone()), head: head(number) };
    let messages = contents.iter().enumerate().map(item).collect();
    Ok(serde_json::to_vec(&PushBatch { messages })?)
}

fn in_frames(contents: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        encode_frame(&head(number), content, &mut bytes);
    }
    bytes
}

/// Pushes the batch in one framing, pulls it in the other through the same route, and settles it.
async fn passes(
    route: &Route,
    framing: &'static str,
    other: &'static str,
    contents: &[Vec<u8>],
) -> Result<()> {
    let batch = if framing == JSON { in_json(contents)? } else { in_frames(contents) };
    let room = REQUEST_BYTES_MAX.checked_sub(batch.len());
    let room = room.with_context(|| format!("{} bytes are refused by nginx", batch.len()))?;
    ensure!(room < REQUEST_BYTES_MAX / 20, "{} bytes are not just below a megabyte", batch.len());

    let pushed = route.request(Method::POST, "/v1/batches/acme/orders").header("content-type", framing);
    let pushed = pushed.body(batch).send().await?;
    ensure!(pushed.status() == StatusCode::OK, "{pushed:?}");
    let PushResults { results } = pushed.json().await?;
    ensure!(results.len() == contents.len() && results.iter().all(|result| result.status == 201));

    let pulled =
        route.request(Method::GET, "/v1/batches/acme/orders?max=1000&wait=5").header("accept", other);
    let pulled = pulled.send().await?;
    ensure!(pulled.status() == StatusCode::OK, "{pulled:?}");
    ensure!(header(&pulled, "content-type")? == other, "{pulled:?}");
    let bytes = pulled.bytes().await?;
    let messages: Vec<(DeliveredHead, Vec<u8>)> = if other == JSON {
        let PulledBatch { messages } = serde_json::from_slice(&bytes)?;
        messages.into_iter().map(|DeliveredItem { content, head }| (head, content.0)).collect()
    } else {
        decode_frames(&bytes)?.into_iter().map(|(head, content)| (head, content.to_vec())).collect()
    };

    ensure!(messages.len() == contents.len(), "{} messages arrived", messages.len());
    for (number, ((said, content), result)) in messages.iter().zip(&results).enumerate() {
        ensure!(*content == contents[number], "message {number} differs");
        ensure!(said.content_type == head(number).content_type, "{said:?}");
        ensure!((Some(&said.id), said.deliveries) == (result.id.as_ref(), 1), "{said:?}, not {result:?}");
    }
    let leases: Vec<_> = messages.iter().filter_map(|(head, _)| head.lease.as_ref()).collect();
    let settled = route.request(Method::POST, path::SETTLEMENTS).json(&serde_json::json!({"ack": leases}));
    let settled = settled.send().await?.error_for_status()?.text().await?;
    ensure!(settled.matches("204").count() == contents.len(), "{settled}");
    Ok(())
}

#[tokio::test]
async fn a_batch_of_nearly_a_megabyte_passes_unchanged_both_ways_in_both_framings() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        let (json, frames) = (contents(JSON_CONTENT_BYTES), contents(FRAMES_CONTENT_BYTES));
        passes(&route, JSON, FRAMES_CONTENT_TYPE, &json).await.with_context(|| format!("JSON {route}"))?;
        passes(&route, FRAMES_CONTENT_TYPE, JSON, &frames)
            .await
            .with_context(|| format!("frames {route}"))?;
        passes(&route, FRAMES_CONTENT_TYPE, FRAMES_CONTENT_TYPE, &frames)
            .await
            .with_context(|| format!("{route}"))?;
        broker.until_empty("orders").await?;
    }
    Ok(())
}
