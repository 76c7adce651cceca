//! Requests that nginx retries at another upstream when an answer is lost.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};

use super::{Route, header, installed, losing_upstream::LosingUpstream, server::Nginx};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";
/// Makes nginx retry POSTs too.
const RETRY_POSTS: &str = "proxy_next_upstream error timeout http_503 non_idempotent;";

/// A route through an nginx whose first upstream loses its answer.
async fn route_that_loses_an_answer(broker: &Broker, lines: &str) -> Result<(Route, LosingUpstream)> {
    let upstream = LosingUpstream::in_front_of(broker).await?;
    let (first, second) = (upstream.address, broker.data);
    let nginx = Nginx::configured(broker, |listen| {
        format!(
            "upstream restante {{ server {first}; server {second} backup; }}\n\
             server {{ listen {listen}; location / {{ proxy_pass http://restante; proxy_set_header Host $host; {lines} }} }}"
        )
    })
    .await?;
    Ok((Route::new("through nginx that loses an answer", broker, Some(nginx))?, upstream))
}

/// A header of the lost answer.
fn lost_header(answer: &str, name: &str) -> Result<String> {
    let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(other, _)| other.eq_ignore_ascii_case(name));
    Ok(found.with_context(|| format!("no {name} in {answer}"))?.1.to_owned())
}

#[tokio::test]
async fn a_post_that_nginx_retries_is_stored_once_by_its_idempotency_key() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let (route, upstream) = route_that_loses_an_answer(&broker, RETRY_POSTS).await?;
    let pushed =
        route.request(Method::POST, PATH).header("idempotency-key", "\"order-7\"").body("seven bolts");
    let pushed = pushed.send().await?;
    let lost = upstream.lost_answer().await?;
    ensure!(lost.contains(" 201 ") && !lost.contains("idempotency-replayed"), "{lost}");
    ensure!(pushed.status() == StatusCode::CREATED, "{pushed:?}");
    ensure!(header(&pushed, "idempotency-replayed")? == "true", "{pushed:?}");
    ensure!(header(&pushed, "message-id")? == lost_header(&lost, "message-id")?, "{pushed:?} after {lost}");
    ensure!(broker.stats("orders").await?.messages() == 1);
    Ok(())
}

#[tokio::test]
async fn without_a_key_a_post_that_nginx_retries_is_stored_twice() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let (route, upstream) = route_that_loses_an_answer(&broker, RETRY_POSTS).await?;
    let pushed = route.request(Method::POST, PATH).body("seven bolts").send().await?;
    let lost = upstream.lost_answer().await?;
    ensure!(pushed.status() == StatusCode::CREATED, "{pushed:?}");
    ensure!(header(&pushed, "message-id")? != lost_header(&lost, "message-id")?, "{pushed:?} after {lost}");
    ensure!(broker.stats("orders").await?.messages() == 2);
    Ok(())
}

#[tokio::test]
async fn a_default_nginx_answers_502_to_a_post_whose_answer_is_lost_and_the_sender_retries() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let (route, upstream) = route_that_loses_an_answer(&broker, "").await?;
    let push = || {
        route.request(Method::POST, PATH).header("idempotency-key", "\"order-7\"").body("seven bolts").send()
    };
    let failed = push().await?;
    ensure!(failed.status() == StatusCode::BAD_GATEWAY, "{failed:?}");
    let lost = upstream.lost_answer().await?;
    let pushed = push().await?;
    ensure!(pushed.status() == StatusCode::CREATED, "{pushed:?}");
    ensure!(header(&pushed, "message-id")? == lost_header(&lost, "message-id")?, "{pushed:?} after {lost}");
    ensure!(broker.stats("orders").await?.messages() == 1);
    Ok(())
}

#[tokio::test]
async fn a_pull_by_get_that_nginx_retries_gets_the_same_message_only_with_an_attempt_id() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    for attempt in [Some("\"attempt-7\""), None] {
        let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
        let direct = Route::new("directly", &broker, None)?;
        for content in ["one", "two"] {
            direct.request(Method::POST, PATH).body(content).send().await?.error_for_status()?;
        }
        // A default nginx retries a GET.
        let (route, upstream) = route_that_loses_an_answer(&broker, "").await?;
        let mut pull = route.request(Method::GET, &format!("{PATH}?wait=5&lease=60"));
        if let Some(attempt) = attempt {
            pull = pull.header("receive-attempt-id", attempt);
        }
        let answer = pull.send().await?;
        let lost = upstream.lost_answer().await?;
        ensure!(answer.status() == StatusCode::OK && lost.ends_with("one"), "{answer:?} after {lost}");
        ensure!(header(&answer, "message-deliveries")? == "1", "{answer:?}");
        let same = header(&answer, "location")? == lost_header(&lost, "location")?;
        let content = answer.text().await?;
        let leased = broker.stats("orders").await?.leased;
        let expected = if attempt.is_some() { (true, "one", 1) } else { (false, "two", 2) };
        ensure!((same, &content[..], leased) == expected, "{attempt:?}: {same}, {content}, {leased}");
    }
    Ok(())
}

#[tokio::test]
async fn a_default_nginx_does_not_retry_a_pull_by_post() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    let direct = Route::new("directly", &broker, None)?;
    for content in ["one", "two"] {
        direct.request(Method::POST, PATH).body(content).send().await?.error_for_status()?;
    }
    let (route, upstream) = route_that_loses_an_answer(&broker, "").await?;
    let failed = route.request(Method::POST, "/v1/receive/acme/orders?wait=5&lease=60").send().await?;
    ensure!(failed.status() == StatusCode::BAD_GATEWAY, "{failed:?}");
    ensure!(upstream.lost_answer().await?.ends_with("one"));
    let stats = broker.stats("orders").await?;
    ensure!((stats.leased, stats.ready) == (1, 1), "{stats:?}");
    Ok(())
}
