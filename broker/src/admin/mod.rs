//! The admin port: probes and metrics, on a thread that never waits for the disk.

mod channels;
mod health;

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
pub use health::{Health, WorkerHealth};
use http::header::CONTENT_TYPE;
use prometheus::{Encoder, TextEncoder};
use restante_wire::ProblemType;

use crate::{
    address_store::AddressStore,
    http::{BrowserRules, Callers, HttpError, pages, probes::probe},
    log::disk::{OlderLogs, storage::Folder},
    metrics::Metrics,
    worker::Shards,
};

/// The state that probes and scrapes read.
#[derive(Clone)]
pub struct Admin {
    /// The state for the probes.
    pub health: Health,
    /// The metrics of the broker as a whole.
    pub metrics: Arc<Metrics>,
    pub store: AddressStore,
    /// The counters of the channels, and the sizes of their logs.
    pub shards: Shards,
    /// The logs from starts with other numbers of workers.
    pub older: Arc<OlderLogs<Folder>>,
    /// The limits that all callers share.
    pub callers: Callers,
    /// `--metrics-channels-max`.
    pub channels_max: usize,
}

/// The routes of the admin port. No origin is allowed: scripts of pages must not read the names and counts of channels.
pub fn router(admin: Admin, browsers: &BrowserRules) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/errors/{name}", get(pages::page))
        .route("/metrics", get(metrics))
        .route("/metrics/channels", get(channels))
        .fallback(async || {
            HttpError::new(
                ProblemType::RouteUnknown,
                "the path is unknown; the admin port has /livez, /readyz, /metrics and /metrics/channels",
            )
        })
        .with_state(admin)
        .layer(middleware::from_fn_with_state(browsers.without_origins(), keep_browsers_out))
}

async fn keep_browsers_out(State(rules): State<BrowserRules>, request: Request, next: Next) -> Response {
    match rules.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

async fn livez(State(admin): State<Admin>) -> Response {
    probe(admin.health.alive())
}

async fn readyz(State(admin): State<Admin>) -> Response {
    probe(admin.health.ready())
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let sampled = &admin.metrics.sampled;
    let state = admin.store.state();
    sampled.address_revision.set(state.revision.low_bits() as f64);
    sampled.address_channels.set(state.channels as i64);
    sampled.orphan_channels.set(state.orphans as i64);
    sampled.body_memory_bytes.set(admin.callers.bodies().used() as i64);
    sampled.answer_memory_bytes.set(admin.callers.answers().used() as i64);
    sampled.requests.set(admin.callers.requests().used() as i64);
    sampled.waiting_receivers.set(admin.shards.waiting_receivers() as i64);
    sampled.waiting_senders.set(admin.shards.waiting_senders() as i64);
    let store = admin.shards.samples();
    let (older_segments, older_bytes) = admin.older.held();
    sampled.store_segments.set((older_segments + store.segments.load(Relaxed)) as i64);
    sampled.store_bytes.set((older_bytes + store.bytes.load(Relaxed)) as i64);
    sampled.store_retained_bytes.set(store.retained_bytes.load(Relaxed) as i64);
    sampled.relay_messages.set(store.relay_messages.load(Relaxed) as i64);
    sampled.idempotency_keys.set(store.keys.load(Relaxed) as i64);
    sampled.hot_body_memory_bytes.set(store.hot_bytes.load(Relaxed) as i64);
    let clock = admin.shards.clock();
    sampled.clock_skew_seconds.set(clock.skew_seconds());
    sampled.clock_uncounted_seconds.set(clock.uncounted_seconds());
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&admin.metrics.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type())], text).into_response(),
        Err(error) => HttpError::new(ProblemType::Internal, format!("failed to print the metrics: {error}"))
            .into_response(),
    }
}

async fn channels(State(admin): State<Admin>) -> Response {
    let samples = channels::sample(&admin);
    ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], Body::from_stream(channels::print(samples))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use http::header::HOST;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        drain::Drain,
        http::{CallerCounts, CallerLimits, TrustedProxies},
        shard::tests::{Bench, Folder},
    };

    #[tokio::test]
    async fn a_scrape_shows_what_the_logs_and_tables_hold() {
        let on = Bench::<Folder>::new(Vec::new()).threaded();
        let samples = on.shard.with(|shard| shard.samples());
        let shown = [
            ("restante_store_segments", &samples.segments),
            ("restante_store_bytes", &samples.bytes),
            ("restante_store_retained_bytes", &samples.retained_bytes),
            ("restante_relay_messages", &samples.relay_messages),
            ("restante_idempotency_keys", &samples.keys),
            ("restante_hot_body_memory_bytes", &samples.hot_bytes),
        ];
        for (value, (_, sample)) in (101..).zip(shown) {
            sample.store(value, Relaxed);
        }
        let admin = Admin {
            health: Health::new(1, on.store.clone(), Drain::new(), CancellationToken::new()).0,
            metrics: Arc::new(Metrics::new().unwrap()),
            store: on.store.clone(),
            shards: on.shards.clone(),
            older: Arc::default(),
            callers: Callers::new(
                CallerLimits { requests: 0, body_bytes: 0, answer_bytes: 0 },
                &CallerCounts::unread(),
                TrustedProxies::default(),
            ),
            channels_max: 0,
        };
        let scrape = Request::get("/metrics").header(HOST, "localhost").body(Body::empty()).unwrap();
        let response = router(admin, &BrowserRules::default()).oneshot(scrape).await.unwrap();
        let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        for (value, (name, _)) in (101..).zip(shown) {
            assert!(text.contains(&format!("\n{name} {value}\n")), "{name} is not {value}:\n{text}");
        }
    }
}
