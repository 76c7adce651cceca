//! Every metric of the broker, by name.
//!
//! Aggregates are registered here and served at `/metrics`. Series of channels are collected at the scrape of
//! `/metrics/channels` and never registered. `docs/metrics.md` lists both.

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntGauge, Registry, exponential_buckets, opts,
    process_collector::ProcessCollector, register_gauge_with_registry, register_histogram_vec_with_registry,
    register_histogram_with_registry, register_int_counter_with_registry, register_int_gauge_with_registry,
};

use crate::http::{CallerCounts, ConnectionCounts};

pub struct Metrics {
    registry: Registry,
    pub pushed: IntCounter,
    pub push_replays: IntCounter,
    pub pushes_refused: IntCounter,
    pub delivered: IntCounter,
    pub redelivered: IntCounter,
    pub settled: IntCounter,
    pub released: IntCounter,
    pub dead_lettered: IntCounter,
    pub unreadable: IntCounter,
    pub redriven: IntCounter,
    pub expired: IntCounter,
    pub dropped: IntCounter,
    pub purged: IntCounter,
    /// From the push to the settle.
    pub residence_seconds: Histogram,
    pub message_bytes: Histogram,
    pub http_seconds: HistogramVec,
    pub pull_wait_seconds: Histogram,
    pub pull_timeouts: IntCounter,
    pub sync_seconds: Histogram,
    pub connections: ConnectionCounts,
    pub connections_refused: IntCounter,
    pub connections_closed_idle: IntCounter,
    pub callers: CallerCounts,
    pub keys_refused: IntCounter,
    pub disk_refused: IntCounter,
    /// Set at each scrape, so that they cannot drift.
    pub sampled: Sampled,
}

/// Gauges that are set from their source at each scrape.
pub struct Sampled {
    pub store_segments: IntGauge,
    pub store_bytes: IntGauge,
    pub store_retained_bytes: IntGauge,
    pub relay_messages: IntGauge,
    pub address_revision: Gauge,
    pub address_channels: IntGauge,
    pub orphan_channels: IntGauge,
    pub idempotency_keys: IntGauge,
    pub body_memory_bytes: IntGauge,
    pub answer_memory_bytes: IntGauge,
    pub requests: IntGauge,
    pub waiting_receivers: IntGauge,
    pub waiting_senders: IntGauge,
    pub hot_body_memory_bytes: IntGauge,
    pub clock_skew_seconds: Gauge,
    pub clock_uncounted_seconds: Gauge,
}

impl Metrics {
    /// Registers all metrics with a registry of its own.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry);
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let float = |name: &str, help: &str| register_gauge_with_registry!(name, help, registry);
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            register_histogram_with_registry!(HistogramOpts::new(name, help).buckets(buckets), registry)
        };
        // 100 µs to 6.5 s: from a sync on a fast disk to one on a failing disk.
        let sync_buckets = exponential_buckets(0.0001, 2.0, 17)?;
        // 500 µs to 524 s: beyond the longest wait, 300 s.
        let wait_buckets = exponential_buckets(0.0005, 4.0, 11)?;
        // 1 ms to 12 days, about the longest that messages usually stay.
        let residence_buckets = exponential_buckets(0.001, 4.0, 16)?;
        // 64 B to 16 MiB, the largest message.
        let size_buckets = exponential_buckets(64.0, 4.0, 10)?;

        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = IntGauge::with_opts(
            opts!("restante_build_info", "Version of the running broker; always 1")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;

        Ok(Self {
            pushed: counter("restante_messages_pushed_total", "Messages stored")?,
            push_replays: counter(
                "restante_push_replays_total",
                "Pushes answered as replays of an earlier push with the same idempotency key",
            )?,
            pushes_refused: counter(
                "restante_pushes_refused_total",
                "Pushes refused because the channel is full or being deleted, or the store has failed",
            )?,
            delivered: counter("restante_messages_delivered_total", "Deliveries of messages to receivers, redeliveries included")?,
            redelivered: counter("restante_messages_redelivered_total", "Deliveries of messages that had been delivered before")?,
            settled: counter("restante_messages_settled_total", "Messages settled by their receivers")?,
            released: counter("restante_messages_released_total", "Messages released by their receivers, or because their answer could not be sent")?,
            dead_lettered: counter(
                "restante_messages_dead_lettered_total",
                "Messages that became dead letters",
            )?,
            unreadable: counter(
                "restante_messages_unreadable_total",
                "Messages that became dead letters because their bytes on disk cannot be read; once for each channel, and again after each redrive",
            )?,
            redriven: counter("restante_messages_redriven_total", "Dead letters redriven")?,
            expired: counter("restante_messages_expired_total", "Messages expired (TTL)")?,
            dropped: counter("restante_messages_dropped_total", "Messages dropped to make room for newer ones (whenFull: DropOldest)")?,
            purged: counter("restante_messages_purged_total", "Messages purged")?,
            residence_seconds: histogram(
                "restante_message_residence_seconds",
                "Time from the push of a message to its settle, in seconds",
                residence_buckets,
            )?,
            message_bytes: histogram(
                "restante_message_size_bytes",
                "Body sizes of stored messages, in bytes",
                size_buckets,
            )?,
            http_seconds: register_histogram_vec_with_registry!(
                HistogramOpts::new(
                    "restante_http_request_duration_seconds",
                    "Time from the head of a request to the head of its answer, in seconds; includes the wait of a pull"
                )
                .buckets(wait_buckets.clone()),
                &["route", "method", "code"],
                registry
            )?,
            pull_wait_seconds: histogram(
                "restante_pull_wait_seconds",
                "Time that pulls waited for a message, in seconds",
                wait_buckets,
            )?,
            pull_timeouts: counter(
                "restante_pull_timeouts_total",
                "Pulls answered with the time-out response (204)",
            )?,
            sync_seconds: histogram(
                "restante_store_sync_seconds",
                "Time to write and sync each commit batch, in seconds",
                sync_buckets,
            )?,
            connections: ConnectionCounts {
                open: gauge("restante_connections", "Client connections")?,
                write_timeouts: counter(
                    "restante_write_timeouts_total",
                    "Connections and HTTP/2 streams closed because their client read its answer too slowly",
                )?,
            },
            connections_refused: counter(
                "restante_connections_refused_total",
                "New connections closed because the limit of connections is reached",
            )?,
            connections_closed_idle: counter(
                "restante_connections_closed_idle_total",
                "Idle connections closed to make room for new ones",
            )?,
            keys_refused: counter(
                "restante_idempotency_keys_refused_total",
                "Pushes refused because the limit of remembered idempotency keys is reached",
            )?,
            disk_refused: counter(
                "restante_store_share_refused_total",
                "Pushes refused because the channel has reached its share of the volume",
            )?,
            callers: CallerCounts {
                requests_refused: counter(
                    "restante_requests_refused_total",
                    "Requests refused because the limit of open requests is reached",
                )?,
                bodies_refused: counter(
                    "restante_bodies_refused_total",
                    "Requests refused because the memory limit of request bodies is reached",
                )?,
                answers_refused: counter(
                    "restante_answers_refused_total",
                    "Requests refused because the memory limit of answers is reached",
                )?,
            },
            sampled: Sampled {
                store_segments: gauge("restante_store_segments", "Segment files of all logs")?,
                store_bytes: gauge("restante_store_bytes", "Size of all segment files, in bytes")?,
                store_retained_bytes: gauge(
                    "restante_store_retained_bytes",
                    "Bytes in segment files that are still needed",
                )?,
                relay_messages: gauge(
                    "restante_relay_messages",
                    "Messages stored by one worker and not yet by the worker of their channel",
                )?,
                address_revision: float(
                    "restante_address_revision",
                    "Low 53 bits of the address store's revision",
                )?,
                address_channels: gauge("restante_address_channels", "Channels in the address store")?,
                orphan_channels: gauge(
                    "restante_orphan_channels",
                    "Orphans: channels that keep messages although the configuration no longer has them",
                )?,
                idempotency_keys: gauge("restante_idempotency_keys", "Remembered idempotency keys")?,
                body_memory_bytes: gauge("restante_body_memory_bytes", "Memory of request bodies in flight, in bytes")?,
                answer_memory_bytes: gauge("restante_answer_memory_bytes", "Memory of answers in flight, in bytes")?,
                requests: gauge("restante_requests_open", "Open requests")?,
                waiting_receivers: gauge("restante_waiting_receivers", "Receivers waiting for a message")?,
                waiting_senders: gauge(
                    "restante_waiting_senders",
                    "Senders waiting for room in a channel",
                )?,
                hot_body_memory_bytes: gauge(
                    "restante_hot_body_memory_bytes",
                    "Memory of message bodies kept for the next receivers, in bytes",
                )?,
                clock_skew_seconds: float(
                    "restante_clock_skew_seconds",
                    "Lead of the wall clock over the broker's clock, in seconds",
                )?,
                clock_uncounted_seconds: float(
                    "restante_clock_uncounted_seconds",
                    "Downtime before the start that was not counted as passed, by the wall clock, in seconds",
                )?,
            },
            registry,
        })
    }

    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }
}
