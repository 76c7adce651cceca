//! Heads of requests and answers: proxies limit their size, and drop some header names.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use restante_wire::header::{
    ACKNOWLEDGE, ACKNOWLEDGE_FAILED, ACKNOWLEDGED_LEASES_MAX, GROUP_CHARACTERS_MAX, KEPT_HEADERS_BYTES_MAX,
    KEPT_HEADERS_MAX, KEY_CHARACTERS_MAX,
};

use super::{Route, every_route, header, installed};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";
/// Failed acknowledgements of 90 bytes each that fit into the 4 KiB of a default nginx together with the largest kept
/// headers.
const FEW_FAILURES: usize = 10;

/// The largest kept headers, divided among `count` headers.
fn largest(count: usize) -> BTreeMap<String, String> {
    let bytes = KEPT_HEADERS_BYTES_MAX / count;
    let one = |number: usize| {
        let name = format!("meta-{number:02}");
        let value = "v".repeat(bytes - name.len());
        (name, value)
    };
    (0..count).map(one).collect()
}

#[tokio::test]
async fn the_largest_kept_headers_pass_both_ways() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        for kept in [largest(1), largest(KEPT_HEADERS_MAX)] {
            let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
            ensure!(bytes == KEPT_HEADERS_BYTES_MAX, "{bytes}");
            // Together with everything else that makes a head long.
            let pushed = route.request(Method::POST, PATH).body("seven bolts");
            let pushed = pushed.header("message-group", "g".repeat(GROUP_CHARACTERS_MAX));
            let pushed = kept.iter().fold(pushed, |pushed, (name, value)| pushed.header(name, value));
            let pushed = pushed.send().await?;
            ensure!(pushed.status() == StatusCode::CREATED, "{route}: {pushed:?}");

            let pulled = route.request(Method::GET, &format!("{PATH}?wait=5"));
            let pulled = pulled.header("receive-attempt-id", "a".repeat(KEY_CHARACTERS_MAX)).send().await?;
            ensure!(pulled.status() == StatusCode::OK, "{route}: {pulled:?}");
            for (name, value) in &kept {
                ensure!(header(&pulled, name)? == *value, "{route}: {name} in {pulled:?}");
            }
            route.settle(&header(&pulled, "location")?).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_values_of_one_header_pass_in_their_order() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        let pushed = route.request(Method::POST, PATH).body("seven bolts");
        let pushed =
            pushed.header("meta-colour", "red").header("meta-size", "7").header("meta-colour", "blue");
        pushed.send().await?.error_for_status()?;
        let answer = route.pull(&format!("{PATH}?wait=5")).await?;
        let colours: Vec<_> = answer.headers().get_all("meta-colour").iter().collect();
        ensure!(colours == ["red", "blue"], "{route}: {answer:?}");
        route.settle(&header(&answer, "location")?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn nginx_drops_a_header_name_with_an_underscore_except_in_an_item_of_a_batch() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let item = serde_json::json!({"messages": [{"content": "nuts", "headers": {"meta-order_id": "7"}}]});
    for route in every_route(&broker).await? {
        let pushed = route.request(Method::POST, PATH).header("meta-order_id", "7").body("seven bolts");
        pushed.send().await?.error_for_status()?;
        route
            .request(Method::POST, "/v1/batches/acme/orders")
            .json(&item)
            .send()
            .await?
            .error_for_status()?;
        let mut came = Vec::new();
        for _ in 0..2 {
            let answer = route.pull(&format!("{PATH}?wait=5")).await?;
            came.push(answer.headers().contains_key("meta-order_id"));
            route.settle(&header(&answer, "location")?).await?;
        }
        ensure!(came == [route.name == "directly", true], "{route}: {came:?}");
    }
    Ok(())
}

/// Released leases: acknowledging them fails, and the answer names each.
async fn released_leases(route: &Route, count: usize) -> Result<String> {
    let mut leases = Vec::new();
    for _ in 0..count {
        route.request(Method::POST, PATH).body("bolt").send().await?.error_for_status()?;
        let lease = header(&route.pull(&format!("{PATH}?wait=0&lease=60")).await?, "location")?;
        let released = route.request(Method::POST, &format!("{lease}/release?delay=600")).send().await?;
        ensure!(released.status() == StatusCode::NO_CONTENT, "{released:?}");
        leases.push(lease);
    }
    Ok(leases.join(", "))
}

#[tokio::test]
async fn a_few_failed_acknowledgements_pass_with_the_largest_kept_headers() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        let leases = released_leases(&route, FEW_FAILURES).await?;
        let pushed = route.request(Method::POST, PATH).body("seven bolts");
        let largest = largest(KEPT_HEADERS_MAX);
        let pushed = largest.iter().fold(pushed, |pushed, (name, value)| pushed.header(name, value));
        pushed.send().await?.error_for_status()?;
        let pulled =
            route.request(Method::GET, &format!("{PATH}?wait=5")).header(ACKNOWLEDGE, leases).send().await?;
        ensure!(pulled.status() == StatusCode::OK, "{route}: {pulled:?}");
        ensure!(
            header(&pulled, ACKNOWLEDGE_FAILED)?.split(',').count() == FEW_FAILURES,
            "{route}: {pulled:?}"
        );
        route.settle(&header(&pulled, "location")?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_maximum_of_failed_acknowledgements_passes_the_documented_nginx_but_not_a_default_one()
-> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        let leases = released_leases(&route, ACKNOWLEDGED_LEASES_MAX).await?;
        let pulled = route.request(Method::GET, &format!("{PATH}?wait=0")).header(ACKNOWLEDGE, leases);
        let answer = pulled.send().await?;
        if route.name.contains("default") {
            ensure!(answer.status() == StatusCode::BAD_GATEWAY, "{route}: {answer:?}");
        } else {
            ensure!(answer.status() == StatusCode::NO_CONTENT, "{route}: {answer:?}");
            let failed = header(&answer, ACKNOWLEDGE_FAILED)?.split(',').count();
            ensure!(failed == ACKNOWLEDGED_LEASES_MAX, "{route}: {answer:?}");
        }
    }
    Ok(())
}
