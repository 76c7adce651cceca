//! Schemathesis reads the document, and asks the broker whatever the document allows, and what it forbids: for every answer
//! its status code, media type, headers, schema and problem type must be described.

use std::fs;

use anyhow::{Context, Result, ensure};
use restante_tests::command::{command, run};
use serde_json::{Value, json};

use super::tools;
use crate::broker::{Broker, channel, http};

/// Messages that the fuzzer finds: more than it takes.
const MESSAGES: usize = 1000;
/// Leases that it may settle.
const LEASES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_fuzzer_that_reads_the_document_finds_no_answer_that_it_does_not_describe() -> Result<()> {
    let Some(programs) = tools::programs()? else { return Ok(()) };
    // Nobody waits: a fuzzer asks empty channels too.
    let at_once = "delivery: {waitSeconds: 0, maxWaitSeconds: 0}\n  limits: {messages: 1000000}";
    let manifests = [
        channel("orders", at_once),
        channel("streams", at_once),
        channel("factory", &format!("destinations: [bridge/factory]\n  source: bridge/factory\n  {at_once}")),
    ];
    let broker = Broker::serving(&manifests.concat()).await?;
    let leases = filled(&broker).await?;

    let folder = tempfile::tempdir()?;
    for file in ["schemathesis.toml", "hooks.py"] {
        fs::copy(tools::sources().join(file), folder.path().join(file))?;
    }
    let quoted: Vec<_> = leases.iter().map(|lease| format!("\"{lease}\"")).collect();
    fs::write(folder.path().join("leases.txt"), quoted.join("\n"))?;
    let mut fuzzer =
        command(programs.join("schemathesis"), ["--no-color", "--config-file", "schemathesis.toml"]);
    fuzzer.current_dir(folder.path()).args(["run", &format!("{}/openapi.json", broker.url())]);
    let said = run(&mut fuzzer)?;
    // A fuzzer that tested little would find little: each phase passed, and the first two with every operation.
    let operations = operations(&broker).await?;
    let passed = said.matches(&format!("✅ {operations} passed")).count();
    ensure!(passed == 2 && said.contains("✅  Stateful"), "{operations} operations: {said}");
    println!("{said}");
    Ok(())
}

/// How many operations the document has.
async fn operations(broker: &Broker) -> Result<usize> {
    let document: Value =
        http()?.get(format!("{}/openapi.json", broker.url())).send().await?.error_for_status()?.json().await?;
    let paths = document["paths"].as_object().context("a document without paths")?;
    Ok(paths.values().filter_map(Value::as_object).map(serde_json::Map::len).sum())
}

/// Fills the channels, and leases some of what is in them.
async fn filled(broker: &Broker) -> Result<Vec<String>> {
    let http = http()?;
    let messages: Vec<Value> = (0..MESSAGES).map(|number| json!({"content": number.to_string()})).collect();
    for address in ["acme/orders", "acme/streams", "acme/bridge/factory"] {
        let url = format!("{}/v1/batches/{address}", broker.url());
        http.post(url).json(&json!({"messages": messages})).send().await?.error_for_status()?;
    }
    let url = format!("{}/v1/batches/acme/orders?max={LEASES}&lease=3600", broker.url());
    let pulled: Value = http.get(url).send().await?.error_for_status()?.json().await?;
    let items = pulled["messages"].as_array().cloned().unwrap_or_default();
    let leases: Vec<_> = items.iter().filter_map(|item| item["lease"].as_str()).map(str::to_owned).collect();
    ensure!(leases.len() == LEASES, "{} leases", leases.len());
    Ok(leases)
}
