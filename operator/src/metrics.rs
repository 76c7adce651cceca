//! Every metric of the operator, in a registry of its own.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, process_collector::ProcessCollector,
};

/// Buckets of reconcile durations, in seconds: a status write takes milliseconds, a first sync of many channels
/// seconds.
const DURATION_BUCKETS: [f64; 9] = [0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The operator's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub reconciles: IntCounterVec,
    pub reconcile_errors: IntCounterVec,
    pub reconcile_seconds: HistogramVec,
    /// The most frequent cause is a missing permission.
    pub watch_errors: IntCounterVec,
    pub status_writes: IntCounterVec,
    pub syncs: IntCounterVec,
    pub puts: IntCounterVec,
    pub drifts: IntCounter,
    /// Sampled at each scrape.
    pub foreign_channels: IntGauge,
    pub default_broker_refused: IntGauge,
    /// Sampled at each scrape.
    resources: IntGaugeVec,
}

impl Metrics {
    /// All metrics, at zero. Fails only if two share a name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(format!("restante_operator_{name}"), help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let reconcile_seconds = HistogramVec::new(
            HistogramOpts::new(
                "restante_operator_reconcile_duration_seconds",
                "Duration of reconciles, in seconds.",
            )
            .buckets(DURATION_BUCKETS.to_vec()),
            &["kind"],
        )?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        let resources = IntGaugeVec::new(
            Opts::new("restante_operator_resources", "Resources, by kind, condition and status."),
            &["kind", "condition", "status"],
        )?;
        registry.register(Box::new(resources.clone()))?;
        let drifts = IntCounter::new(
            "restante_operator_address_store_drifts_total",
            "Address stores found with a revision other than the programmed one.",
        )?;
        registry.register(Box::new(drifts.clone()))?;
        let foreign_channels = IntGauge::new(
            "restante_operator_foreign_channels",
            "MessageChannels that belong to another operator, or to none.",
        )?;
        registry.register(Box::new(foreign_channels.clone()))?;
        let default_broker_refused = IntGauge::new(
            "restante_operator_default_broker_refused",
            "1 while the manifest of the default MessageBroker is invalid or refused, otherwise 0.",
        )?;
        registry.register(Box::new(default_broker_refused.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = Gauge::with_opts(
            Opts::new("restante_operator_build_info", "Always 1; the version is the label.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1.0);
        registry.register(Box::new(build))?;
        Ok(Self {
            reconciles: counters("reconcile_total", "Reconciles.", &["kind"])?,
            reconcile_errors: counters(
                "reconcile_errors_total",
                "Failed reconciles, by reason.",
                &["kind", "reason"],
            )?,
            reconcile_seconds,
            watch_errors: counters("watch_errors_total", "Failed watches.", &["kind"])?,
            status_writes: counters("status_writes_total", "Status writes.", &["kind"])?,
            syncs: counters("syncs_total", "Complete sets of channels sent to broker pods.", &["result"])?,
            puts: counters("puts_total", "Single channels sent to broker pods.", &["result"])?,
            drifts,
            foreign_channels,
            default_broker_refused,
            resources,
            registry,
        })
    }

    /// Replaces the counts of a kind's conditions.
    pub fn sample_resources<'a>(&self, kind: &str, conditions: impl IntoIterator<Item = &'a Condition>) {
        let mut counts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for condition in conditions {
            *counts.entry((&condition.type_, &condition.status)).or_default() += 1;
        }
        for condition in ["Accepted", "Programmed", "Ready"] {
            for status in ["True", "False"] {
                let count = counts.get(&(condition, status)).copied().unwrap_or_default();
                self.resources.with_label_values(&[kind, condition, status]).set(count);
            }
        }
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

pub fn result_label<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "ok" } else { "error" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_name_is_unique() {
        let metrics = Metrics::new().unwrap();
        metrics.reconciles.with_label_values(&["MessageChannel"]).inc();
        metrics.sample_resources("MessageChannel", []);
        let text = metrics.text().unwrap();
        assert!(text.contains("restante_operator_reconcile_total{kind=\"MessageChannel\"} 1"), "{text}");
        assert!(text.contains("restante_operator_build_info{version="), "{text}");
    }
}
