//! A real Prometheus scrapes a real broker, and every expression of the dashboard returns data.

mod dashboard;
mod server;

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, anyhow, ensure};
use reqwest::Method;
use restante_client::{Message, Receiver, ReceiverOptions, Sender};
use restante_tests::{
    command::{command, run},
    tools, wait,
};

use self::{
    dashboard::{Dashboard, Expression},
    server::{Prometheus, installed},
};
use crate::broker::{Broker, DEADLINE, channel};

/// What Grafana puts for `$__rate_interval`: longer than the test, so that what happened once is seen for its rest.
const RATE_INTERVAL: &str = "5m";
/// The row of an operator, whose panels have data where one runs.
const OPERATOR_ROW: &str = "Operator";

#[test]
fn every_expression_of_the_dashboard_is_promql() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let dashboard = Dashboard::read()?;
    let values: BTreeMap<_, _> = dashboard.variables.iter().map(|name| (name.clone(), ".*".into())).collect();
    let rules: Vec<_> = dashboard
        .expressions
        .iter()
        .enumerate()
        .map(|(number, expression)| {
            let expression = expression.with(&values, RATE_INTERVAL);
            serde_json::json!({"record": format!("panel:{number}"), "expr": expression})
        })
        .collect();
    // JSON is YAML.
    let rules = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules.yaml");
    fs::write(&file, rules.to_string())?;
    let said = run(command("promtool", ["check", "rules"]).arg(&file))?;
    ensure!(said.contains(&format!("{} rules found", dashboard.expressions.len())), "{said}");
    assert!(dashboard.expressions.iter().any(|expression| expression.row == OPERATOR_ROW));
    Ok(())
}

#[tokio::test]
async fn every_expression_of_the_dashboard_returns_data() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let manifests = [channel("orders", "delivery: {waitSeconds: 1}"), channel("parcels", "source: parcels")];
    let mut broker = Broker::prepared(&manifests.concat(), &[])?;
    broker.start()?;
    broker.ready().await?;
    let prometheus = Prometheus::scraping(broker.admin).await?;
    // Some series begin with what they count, so it happens twice: what happens after a scrape is an increase.
    exercise(&broker, "first").await?;
    for scraped in
        ["restante_http_request_duration_seconds_count{code='204'}", "restante_channel_pushed_total"]
    {
        prometheus.until_data(scraped, DEADLINE).await?;
    }
    exercise(&broker, "second").await?;

    let dashboard = Dashboard::read()?;
    let mut values = BTreeMap::new();
    for variable in &dashboard.queries {
        let found = prometheus.label_values(&variable.selector(&values), &variable.label).await?;
        ensure!(!found.is_empty(), "the variable {} has no values to choose from", variable.name);
        values.insert(variable.name.clone(), format!("({})", found.join("|")));
    }
    assert_eq!(values["job"], "(restante|restante-channels)");
    assert_eq!(values["namespace"], "(acme)", "Prometheus must not rename a channel's own namespace");
    assert_eq!(values["channel"], "(orders|parcels)");

    let shown: Vec<&Expression> =
        dashboard.expressions.iter().filter(|expression| expression.row != OPERATOR_ROW).collect();
    assert!(shown.len() > 30, "{} expressions", shown.len());
    for expression in shown {
        let text = expression.with(&values, RATE_INTERVAL);
        prometheus.until_data(&text, DEADLINE).await.with_context(|| expression.to_string())?;
    }
    // What they say is what happened: two rates of exercise that are not zero by accident.
    for series in ["restante_messages_redelivered_total", "restante_push_replays_total"] {
        prometheus.until_data(&format!("increase({series}[{RATE_INTERVAL}]) > 0"), DEADLINE).await?;
    }
    Ok(())
}

/// Everything that a panel shows happens at least once: messages in and out, one given back, one sent twice, a refusal,
/// a time-out.
async fn exercise(broker: &Broker, key: &str) -> Result<()> {
    let client = broker.client()?;
    for address in ["acme/orders", "acme/parcels"] {
        let sender = Sender::new(&client, address.parse()?);
        let receiver = Receiver::new(&client, address.parse()?, ReceiverOptions::default());
        for _ in 0..2 {
            sender.send(Message::new("seven bolts").idempotency_key(key)?).await?;
        }
        receiver.receive().await?.release().await?;
        receiver.receive().await?.settle().await?;
        if address == "acme/parcels" {
            // Stays, for the gauges.
            sender.send(Message::new("eight bolts")).await?;
        }
    }
    let refused = broker.request(Method::GET, "/v1/messages/acme/nothing").await?;
    assert_eq!(refused.status(), 404);
    let receiver = Receiver::new(&client, "acme/orders".parse()?, ReceiverOptions::default());
    let nothing = receiver.receive_once(None).await?;
    ensure!(nothing.is_none(), "the channel should be empty: {nothing:?}");
    Ok(())
}

#[test]
fn promtool_accepts_the_documented_scrape_configuration() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let documented = server::documented_configurations()?;
    assert_eq!(documented.len(), 2, "one for a cluster, one for a machine");
    for configuration in documented {
        // Debian's Prometheus is built without Kubernetes.
        let configuration =
            configuration.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: []");
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, configuration)?;
        run(command("promtool", ["check", "config"]).arg(&file))?;
    }
    Ok(())
}

/// A file of the repository.
fn repository_file(path: &str) -> Result<String> {
    fs::read_to_string(tools::workspace().join(path)).with_context(|| path.to_owned())
}

/// Tells an answer with data from one without: at least one sample that is a number.
fn has_data(samples: &[f64]) -> Result<()> {
    if samples.iter().any(|sample| sample.is_finite()) {
        Ok(())
    } else {
        Err(anyhow!("the samples are {samples:?}"))
    }
}

#[test]
fn an_answer_without_a_number_counts_as_no_data() {
    assert!(has_data(&[]).is_err());
    assert!(has_data(&[f64::NAN, f64::INFINITY]).is_err());
    assert!(has_data(&[f64::NAN, 0.0]).is_ok());
}

/// Waits for data.
impl Prometheus {
    async fn until_data(&self, expression: &str, within: std::time::Duration) -> Result<()> {
        wait::until_async(expression, within, || async { has_data(&self.query(expression).await?) }).await
    }
}
