//! The dashboard of the chart: its variables, and the expressions of its panels.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::repository_file;

const FILE: &str = "charts/restante/files/dashboard.json";

/// The parts of the dashboard that query Prometheus.
pub(super) struct Dashboard {
    pub(super) variables: Vec<String>,
    /// The variables whose values come from Prometheus, in the order of their dependencies.
    pub(super) queries: Vec<Variable>,
    pub(super) expressions: Vec<Expression>,
}

/// A variable of the form `label_values(selector, label)`.
pub(super) struct Variable {
    pub(super) name: String,
    selector: String,
    pub(super) label: String,
}

pub(super) struct Expression {
    pub(super) row: String,
    panel: String,
    text: String,
}

impl Dashboard {
    pub(super) fn read() -> Result<Self> {
        let dashboard: Value = serde_json::from_str(&repository_file(FILE)?).context(FILE)?;
        let list = dashboard["templating"]["list"].as_array().context("no variables")?;
        let variables = list.iter().filter_map(|variable| variable["name"].as_str());
        let queries = list.iter().filter(|variable| variable["type"] == "query").map(Variable::read);
        let mut expressions = Vec::new();
        collect(&dashboard["panels"], &mut String::new(), &mut expressions)?;
        Ok(Self {
            variables: variables.map(str::to_owned).collect(),
            queries: queries.collect::<Result<_>>()?,
            expressions,
        })
    }
}

impl Variable {
    fn read(variable: &Value) -> Result<Self> {
        let name = variable["name"].as_str().context("a variable without a name")?.to_owned();
        let query = variable["query"]["query"].as_str().with_context(|| format!("{name} has no query"))?;
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inside
            .and_then(|inside| inside.rsplit_once(", "))
            .with_context(|| format!("{name} is {query}, not label_values(selector, label)"))?;
        Ok(Self { name, selector: selector.to_owned(), label: label.to_owned() })
    }

    /// The selector, with the values of the variables before it.
    pub(super) fn selector(&self, values: &BTreeMap<String, String>) -> String {
        substituted(&self.selector, values)
    }
}

impl Expression {
    /// The expression that Grafana sends.
    pub(super) fn with(&self, values: &BTreeMap<String, String>, rate_interval: &str) -> String {
        substituted(&self.text.replace("$__rate_interval", rate_interval), values)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} / {}: {}", self.row, self.panel, self.text)
    }
}

/// Collects the expressions of panels in page order. A row is followed by its panels, or contains them if it is folded.
fn collect(panels: &Value, row: &mut String, expressions: &mut Vec<Expression>) -> Result<()> {
    for panel in panels.as_array().context("panels are a list")? {
        let title = panel["title"].as_str().context("every panel has a title")?.to_owned();
        if panel["type"] == "row" {
            *row = title;
            if panel["panels"].is_array() {
                collect(&panel["panels"], row, expressions)?;
            }
            continue;
        }
        let targets = panel["targets"].as_array().with_context(|| format!("{title} shows nothing"))?;
        ensure!(!targets.is_empty(), "{title} shows nothing");
        for target in targets {
            let text = target["expr"].as_str().with_context(|| format!("{title} has no expression"))?;
            expressions.push(Expression { row: row.clone(), panel: title.clone(), text: text.to_owned() });
        }
    }
    Ok(())
}

fn substituted(text: &str, values: &BTreeMap<String, String>) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}
