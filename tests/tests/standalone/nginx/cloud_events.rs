//! CloudEvents over HTTP (CloudEvents HTTP Protocol Binding 1.0.2), in each content mode. The broker parses none of
//! them.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};

use super::{Route, every_route, header, installed};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";

struct Mode {
    name: &'static str,
    headers: &'static [(&'static str, &'static str)],
    content: &'static str,
}

const BINARY: Mode = Mode {
    name: "binary",
    headers: &[
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.acme.order.placed"),
        ("ce-source", "/shops/7"),
        // Percent-encoded by section 3.1.3.2 of the binding.
        ("ce-subject", "Euro%20%E2%82%AC%20and%20%F0%9F%98%80"),
        ("ce-id", "A234-1234-1234"),
        ("ce-time", "2026-04-05T17:31:00.123456789Z"),
        ("ce-comacmeextension", "a value, with a comma"),
    ],
    content: r#"{"bolts": 7, "note": "a\u0000b"}"#,
};
const STRUCTURED: Mode = Mode {
    name: "structured",
    headers: &[("content-type", "application/cloudevents+json; charset=utf-8")],
    content: r#"{ "specversion":"1.0","type":"dev.acme.order.placed","source":"/shops/7","id":"1","data":{"bolts":7} }"#,
};
const BATCHED: Mode = Mode {
    name: "batched",
    headers: &[("content-type", "application/cloudevents-batch+json")],
    content: r#"[ {"specversion":"1.0","type":"t","source":"/s","id":"1"},
 {"specversion":"1.0","type":"t","source":"/s","id":"2","data_base64":"/wAB"} ]"#,
};

/// Pushes and pulls a message, and compares its content and headers.
async fn passes(broker: &Broker, route: &Route, mode: &Mode) -> Result<()> {
    let mut pushed = route.request(Method::POST, PATH).body(mode.content);
    for (name, value) in mode.headers {
        pushed = pushed.header(*name, *value);
    }
    let pushed = pushed.send().await?;
    ensure!(pushed.status() == StatusCode::CREATED, "{pushed:?}");
    let ready = broker.stats("orders").await?.ready;
    ensure!(ready == 1, "one request became {ready} messages");

    let answer = route.pull(&format!("{PATH}?wait=5")).await?;
    for (name, value) in mode.headers {
        ensure!(header(&answer, name)? == *value, "{name} is not {value:?} in {answer:?}");
    }
    let attributes = |name: &str| name.starts_with("ce-");
    let came = answer.headers().keys().filter(|name| attributes(name.as_str())).count();
    ensure!(came == mode.headers.iter().filter(|(name, _)| attributes(name)).count(), "{answer:?}");
    let lease = header(&answer, "location")?;
    ensure!(answer.text().await? == mode.content, "the content differs");
    route.settle(&lease).await
}

#[tokio::test]
async fn a_cloud_event_in_any_content_mode_is_one_message_and_is_delivered_unchanged() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        for mode in [BINARY, STRUCTURED, BATCHED] {
            passes(&broker, &route, &mode).await.with_context(|| format!("{} mode {route}", mode.name))?;
        }
    }
    Ok(())
}
