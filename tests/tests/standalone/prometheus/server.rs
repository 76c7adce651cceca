//! Prometheus from Debian's package, with the scrape configuration of docs/metrics.md.

use std::{
    fs,
    net::{SocketAddrV4, TcpListener},
    process::Command,
};

use anyhow::{Context, Result, anyhow};
use reqwest::{Client, Url};
use restante_tests::{process::Process, requirements::has_program, wait};
use serde_json::Value;
use tempfile::TempDir;

use super::repository_file;
use crate::broker::{DEADLINE, http};

/// The target of a broker on the same machine in the documented configuration.
const DOCUMENTED_TARGET: &str = "127.0.0.1:8081";

/// Whether Prometheus is installed. If not, the reason is printed, and it is an error in CI.
pub(super) fn installed() -> Result<bool> {
    Ok(has_program("prometheus", "--version", "prometheus")?
        && has_program("promtool", "--version", "prometheus")?)
}

/// The scrape configurations in docs/metrics.md.
pub(super) fn documented_configurations() -> Result<Vec<String>> {
    let text = repository_file("docs/metrics.md")?;
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    Ok(blocks.filter(|block| block.starts_with("scrape_configs:")).map(str::to_owned).collect())
}

/// A running Prometheus, killed when it is dropped.
pub(super) struct Prometheus {
    url: String,
    http: Client,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes this admin port each second, with the jobs that docs/metrics.md has for one
    /// machine.
    pub(super) async fn scraping(admin: SocketAddrV4) -> Result<Self> {
        let documented = documented_configurations()?;
        let jobs = documented
            .iter()
            .find(|block| block.contains(DOCUMENTED_TARGET))
            .context("docs/metrics.md shows no scrape configuration of a broker on the same machine")?;
        let jobs = jobs.replace(DOCUMENTED_TARGET, &admin.to_string());
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{jobs}"))?;

        // No other program uses the broker's address, so the port stays free.
        let listen = TcpListener::bind((*admin.ip(), 0))?.local_addr()?;
        let mut prometheus = Command::new("prometheus");
        prometheus.arg(format!("--config.file={}", file.display()));
        prometheus.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        prometheus.arg(format!("--web.listen-address={listen}"));
        let mut process = Process::start("prometheus", &prometheus, &folder.path().join("log"))?;

        let http = http()?;
        let url = format!("http://{listen}");
        wait::until_async("Prometheus to be ready", DEADLINE, || {
            let (running, request) = (process.check_running(), http.get(format!("{url}/-/ready")));
            async move {
                running?;
                request.send().await?.error_for_status().map(drop).map_err(anyhow::Error::from)
            }
        })
        .await?;
        Ok(Self { url, http, _process: process, _folder: folder })
    }

    /// The current samples of an expression.
    pub(super) async fn query(&self, expression: &str) -> Result<Vec<f64>> {
        let data = self.get("query", &[("query", expression)]).await?;
        let samples = data["result"].as_array().context("the result is a list")?;
        let value = |sample: &Value| sample["value"][1].as_str()?.parse().ok();
        samples.iter().map(|sample| value(sample).with_context(|| sample.to_string())).collect()
    }

    /// The values of a label on the series of a selector, by Grafana's query.
    pub(super) async fn label_values(&self, selector: &str, label: &str) -> Result<Vec<String>> {
        let data = self.get(&format!("label/{label}/values"), &[("match[]", selector)]).await?;
        Ok(serde_json::from_value(data)?)
    }

    async fn get(&self, what: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = Url::parse_with_params(&format!("{}/api/v1/{what}", self.url), query)?;
        let answer: Value = self.http.get(url).send().await?.json().await?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].clone()),
            _ => Err(anyhow!("Prometheus answered {answer}")),
        }
    }
}
