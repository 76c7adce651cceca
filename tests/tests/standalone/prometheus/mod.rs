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

/// Value of Grafana's `$__rate_interval`: longer than the test, so that an increase stays visible until its end.
const RATE_INTERVAL: &str = "5m";
/// The row of the operator. Its panels have no data here, because no operator runs.
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
    // A series may appear only with its first count. So everything happens twice, and the second time is an increase.
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
        ensure!(!found.is_empty(), "the variable {} has no values", variable.name);
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
    // Two rates must be above zero, because `exercise` increased their counters.
    for series in ["restante_messages_redelivered_total", "restante_push_replays_total"] {
        prometheus.until_data(&format!("increase({series}[{RATE_INTERVAL}]) > 0"), DEADLINE).await?;
    }
    Ok(())
}

/// Causes everything that a panel shows: messages are pushed, pulled, released and repeated, a request is refused, and
/// a pull times out.
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
            // This message stays, for the gauges.
            sender.send(Message::new("eight bolts")).await?;
        }
    }
    let refused = broker.request(Method::GET, "/v1/messages/acme/nothing").await?;
    assert_eq!(refused.status(), 404);
    let receiver = Receiver::new(&client, "acme/orders".parse()?, ReceiverOptions::default());
    let nothing = receiver.receive_once(None).await?;
    ensure!(nothing.is_none(), "the channel is not empty: {nothing:?}");
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
        // Debian builds Prometheus without Kubernetes support.
        let configuration =
            configuration.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: []");
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, configuration)?;
        run(command("promtool", ["check", "config"]).arg(&file))?;
    }
    Ok(())
}

fn repository_file(path: &str) -> Result<String> {
    fs::read_to_string(tools::workspace().join(path)).with_context(|| path.to_owned())
}

/// Succeeds if at least one sample is a number.
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

impl Prometheus {
    async fn until_data(&self, expression: &str, within: std::time::Duration) -> Result<()> {
        wait::until_async(expression, within, || async { has_data(&self.query(expression).await?) }).await
    }
}
