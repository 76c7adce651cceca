//! Watches of resources.

use kube::runtime::watcher;

use crate::metrics::Metrics;

/// Reports a watch that failed. It is restarted.
pub fn watch_failed(kind: &str, metrics: &Metrics, error: &watcher::Error) {
    metrics.watch_errors.with_label_values(&[kind]).inc();
    tracing::warn!(kind, %error, "watch failed; restarting it");
}
