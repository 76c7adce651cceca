//! Schemathesis reads the OpenAPI document, and sends the broker requests that the document allows and requests that it
//! forbids. The document must describe the status code, media type, headers, schema and problem type of every answer.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use restante_tests::{
    command::{command, run},
    wait,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::tools;
use crate::broker::{Broker, channel, http};

/// Channels that always have messages, so that most of the fuzzer's pulls get one.
const FILLED: [&str; 3] = ["acme/orders", "acme/streams", "acme/bridge/factory"];
/// Messages per channel: the maximum of one pull (`BATCH_ITEMS_MAX`).
const MESSAGES: usize = 1000;
/// Limit of a run of the fuzzer, which takes minutes.
const FUZZED_WITHIN: Duration = Duration::from_secs(3600);
/// Leases that the fuzzer may settle.
const LEASES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_fuzzer_finds_no_answer_that_the_openapi_document_does_not_describe() -> Result<()> {
    let Some(programs) = tools::programs()? else { return Ok(()) };
    // Pulls do not wait, because the fuzzer also pulls from empty channels.
    let at_once = "delivery: {waitSeconds: 0, maxWaitSeconds: 0}\n  limits: {messages: 1000000}";
    let manifests = [
        channel("orders", at_once),
        channel("streams", at_once),
        channel("factory", &format!("destinations: [bridge/factory]\n  source: bridge/factory\n  {at_once}")),
    ];
    let broker = Broker::serving(&manifests.concat()).await?;
    let (http, base) = (http()?, broker.url());
    let mut fillers = JoinSet::new();
    for address in FILLED {
        fill(&http, &base, address).await?;
        fillers.spawn(keep_filled(http.clone(), base.clone(), address));
    }
    let leases = leased(&http, &base, "acme/orders").await?;

    let folder = tempfile::tempdir()?;
    for file in ["schemathesis.toml", "hooks.py"] {
        fs::copy(tools::sources().join(file), folder.path().join(file))?;
    }
    let quoted: Vec<_> = leases.iter().map(|lease| format!("\"{lease}\"")).collect();
    fs::write(folder.path().join("leases.txt"), quoted.join("\n"))?;
    // The fuzzer gets the document as a file: if it read the document itself, it would not test that operation.
    let document = document(&http, &base).await?;
    fs::write(folder.path().join("openapi.json"), document.to_string())?;
    let mut fuzzer =
        command(programs.join("schemathesis"), ["--no-color", "--config-file", "schemathesis.toml"]);
    fuzzer.current_dir(folder.path()).args(["run", "openapi.json", "--url", &base]);
    let said = run(&mut fuzzer)?;
    ensure!(fillers.try_join_next().is_none(), "a channel could not be filled");
    // Check that the fuzzer tested enough: each phase passed, and the first two covered every operation.
    let operations = operations(&document)?;
    let passed = said.matches(&format!("✅ {operations} passed")).count();
    ensure!(
        passed == 2 && said.contains("✅  Stateful") && !said.contains(" 0 covered"),
        "{operations} operations: {said}"
    );
    println!("{said}");
    Ok(())
}

async fn document(http: &Client, base: &str) -> Result<Value> {
    Ok(http.get(format!("{base}/openapi.json")).send().await?.error_for_status()?.json().await?)
}

/// The number of operations in the document.
fn operations(document: &Value) -> Result<usize> {
    let paths = document["paths"].as_object().context("a document without paths")?;
    Ok(paths.values().filter_map(Value::as_object).map(serde_json::Map::len).sum())
}

/// Refills a channel whenever messages were leased or settled, until the task is dropped.
async fn keep_filled(http: Client, base: String, address: &'static str) -> Result<()> {
    loop {
        wait::until_async("receivers to lease messages", FUZZED_WITHIN, || async {
            let ready = ready(&http, &base, address).await?;
            ensure!(ready < MESSAGES, "{address} has {ready}");
            Ok(())
        })
        .await?;
        fill(&http, &base, address).await?;
    }
}

/// The number of ready messages of a channel.
async fn ready(http: &Client, base: &str, address: &str) -> Result<usize> {
    let counted = http.head(format!("{base}/v1/messages/{address}")).send().await?.error_for_status()?;
    Ok(counted.headers().get("Message-Ready").context("no count")?.to_str()?.parse()?)
}

async fn fill(http: &Client, base: &str, address: &str) -> Result<()> {
    let messages: Vec<Value> = (0..MESSAGES).map(|number| json!({"content": number.to_string()})).collect();
    let url = format!("{base}/v1/batches/{address}");
    http.post(url).json(&json!({"messages": messages})).send().await?.error_for_status()?;
    Ok(())
}

/// Leases messages of this channel, and returns the leases.
async fn leased(http: &Client, base: &str, address: &str) -> Result<Vec<String>> {
    let url = format!("{base}/v1/batches/{address}?max={LEASES}&lease=3600");
    let pulled: Value = http.get(url).send().await?.error_for_status()?.json().await?;
    let items = pulled["messages"].as_array().cloned().unwrap_or_default();
    let leases: Vec<_> = items.iter().filter_map(|item| item["lease"].as_str()).map(str::to_owned).collect();
    ensure!(leases.len() == LEASES, "{} leases", leases.len());
    Ok(leases)
}
