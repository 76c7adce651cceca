//! Probes and metrics over HTTP.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use kube::{core::DeserializeGuard, runtime::reflector::Store};
use restante_crds::{MessageBroker, MessageChannel};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    ownership::{Ownership, foreign_channels::ForeignChannels},
    reconcile::kind::Kind,
};

/// State of the admin port.
#[derive(Clone)]
pub struct Admin {
    /// Whether the operator has listed every resource and is not stopping.
    pub ready: Arc<AtomicBool>,
    pub ownership: Arc<Ownership>,
    pub metrics: Arc<Metrics>,
    /// Every MessageChannel.
    pub channels: Store<DeserializeGuard<MessageChannel>>,
    /// Every MessageBroker in the operator's namespace.
    pub brokers: Store<DeserializeGuard<MessageBroker>>,
}

/// Serves until `stop` is cancelled.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the operator is still listing resources, or is stopping",
        )
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let channels = admin.channels.state();
    admin.metrics.foreign_channels.set(ForeignChannels::among(&admin.ownership, &channels).count());
    let ours =
        channels.iter().filter_map(|guard| guard.0.as_ref().ok()).filter(|one| admin.ownership.is_ours(*one));
    let statuses = ours.filter_map(|channel| channel.status.as_ref());
    admin.metrics.sample_resources(MessageChannel::KIND, statuses.flat_map(|status| &status.conditions));
    let brokers = admin.brokers.state();
    let statuses = brokers.iter().filter_map(|guard| guard.0.as_ref().ok()?.status.as_ref());
    admin.metrics.sample_resources(MessageBroker::KIND, statuses.flat_map(|status| &status.conditions));
    match admin.metrics.text() {
        Ok(text) => ([("content-type", "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
