//! Every metric of the broker, by name.
//!
//! Aggregates live here and are served at `/metrics`; what is told per channel is collected when it is asked for, at
//! `/metrics/channels`, and registered nowhere. `docs/metrics.md` is the table of both.

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntGauge, Registry, exponential_buckets, opts,
    process_collector::ProcessCollector, register_gauge_with_registry, register_histogram_vec_with_registry,
    register_histogram_with_registry, register_int_counter_with_registry, register_int_gauge_with_registry,
};

use crate::http::{CallerCounts, ConnectionCounts};

/// The broker's aggregates.
pub struct Metrics {
    registry: Registry,
    /// Messages stored.
    pub pushed: IntCounter,
    /// Pushes that were answered before, by their idempotency key.
    pub push_replays: IntCounter,
    /// Pushes refused.
    pub rejected: IntCounter,
    /// Hand-outs.
    pub delivered: IntCounter,
    /// Hand-outs of messages that were handed out before.
    pub redelivered: IntCounter,
    /// Messages settled.
    pub settled: IntCounter,
    /// Messages given back.
    pub released: IntCounter,
    /// Messages that became dead letters.
    pub dead_lettered: IntCounter,
    /// Messages that were set aside because they cannot be read, each time; and those that stay where they are.
    pub unreadable: IntCounter,
    /// Dead letters that got another chance.
    pub redriven: IntCounter,
    /// Messages whose time was over.
    pub expired: IntCounter,
    /// Messages that made room for newer ones.
    pub dropped: IntCounter,
    /// Messages that were purged.
    pub purged: IntCounter,
    /// From stored to settled.
    pub residence_seconds: Histogram,
    /// Of contents.
    pub message_bytes: Histogram,
    /// By route, method and code.
    pub http_seconds: HistogramVec,
    /// How long pulls were held.
    pub pull_wait_seconds: Histogram,
    /// Time-out responses.
    pub pull_timeouts: IntCounter,
    /// How long group commits took.
    pub sync_seconds: Histogram,
    /// Of the data port.
    pub connections: ConnectionCounts,
    /// Connections for which there was no place.
    pub connections_refused: IntCounter,
    /// Idle connections that gave way.
    pub connections_closed_idle: IntCounter,
    /// What callers were refused.
    pub callers: CallerCounts,
    /// Pushes for whose keys there was no room.
    pub keys_refused: IntCounter,
    /// Pushes of channels that have their share of the disk.
    pub disk_refused: IntCounter,
    /// Sampled when asked for, so that they cannot drift.
    pub sampled: Sampled,
}

/// Gauges that are set from what they tell of, at each scrape.
pub struct Sampled {
    /// Segment files of the log.
    pub store_segments: IntGauge,
    /// Their bytes.
    pub store_bytes: IntGauge,
    /// Bytes in them that are still needed.
    pub store_live_bytes: IntGauge,
    /// Messages that wait in outboxes for other cores to have them.
    pub store_outbox_messages: IntGauge,
    /// The low 53 bits of the address store's revision.
    pub address_revision: Gauge,
    /// Channels in the address store.
    pub address_channels: IntGauge,
    /// Channels that the set no longer has.
    pub orphan_channels: IntGauge,
    /// Idempotency keys that are remembered.
    pub idempotency_keys: IntGauge,
    /// Bytes of bodies in flight.
    pub body_memory_bytes: IntGauge,
    /// Bytes of answers in flight.
    pub answer_memory_bytes: IntGauge,
    /// Requests that are answered.
    pub requests: IntGauge,
    /// Receivers that wait, on all channels.
    pub waiting_receivers: IntGauge,
    /// Senders that wait for room, on all channels.
    pub waiting_senders: IntGauge,
    /// Bytes of contents in memory for the receivers to come.
    pub hot_body_memory_bytes: IntGauge,
    /// The wall clock's lead over the broker's own.
    pub clock_skew_seconds: Gauge,
    /// Downtime before the start that does not count.
    pub clock_uncounted_seconds: Gauge,
}

impl Metrics {
    /// Registers everything with a registry of its own.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry);
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let float = |name: &str, help: &str| register_gauge_with_registry!(name, help, registry);
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            register_histogram_with_registry!(HistogramOpts::new(name, help).buckets(buckets), registry)
        };
        // 100 µs to 6.5 s: a fast disk's sync to a sick one's.
        let sync_buckets = exponential_buckets(0.0001, 2.0, 17)?;
        // 500 µs to 524 s: beyond the longest wait, 300 s.
        let wait_buckets = exponential_buckets(0.0005, 4.0, 11)?;
        // 1 ms to 12 days, which is about how long a message may lie.
        let residence_buckets = exponential_buckets(0.001, 4.0, 16)?;
        // 64 B to 16 MiB, the largest message.
        let size_buckets = exponential_buckets(64.0, 4.0, 10)?;

        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = IntGauge::with_opts(
            opts!("restante_build_info", "The version that runs; always 1")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;

        Ok(Self {
            pushed: counter("restante_messages_pushed_total", "Messages stored")?,
            push_replays: counter(
                "restante_push_replays_total",
                "Pushes recognised by their idempotency key and stored before",
            )?,
            rejected: counter(
                "restante_messages_rejected_total",
                "Pushes refused because of the state of the channel or the store",
            )?,
            delivered: counter("restante_messages_delivered_total", "Messages handed out, each time")?,
            redelivered: counter("restante_messages_redelivered_total", "Messages handed out again")?,
            settled: counter("restante_messages_settled_total", "Messages settled by their receivers")?,
            released: counter("restante_messages_released_total", "Messages given back by their receivers")?,
            dead_lettered: counter(
                "restante_messages_dead_lettered_total",
                "Messages that became dead letters",
            )?,
            unreadable: counter(
                "restante_messages_unreadable_total",
                "Messages that were set aside as dead letters because they cannot be read, each time and in each of their channels",
            )?,
            redriven: counter("restante_messages_redriven_total", "Dead letters that got another chance")?,
            expired: counter("restante_messages_expired_total", "Messages whose time was over")?,
            dropped: counter("restante_messages_dropped_total", "Messages that made room for newer ones")?,
            purged: counter("restante_messages_purged_total", "Messages that were purged")?,
            residence_seconds: histogram(
                "restante_message_residence_seconds",
                "Time from stored to settled",
                residence_buckets,
            )?,
            message_bytes: histogram(
                "restante_message_size_bytes",
                "Size of the contents stored",
                size_buckets,
            )?,
            http_seconds: register_histogram_vec_with_registry!(
                HistogramOpts::new(
                    "restante_http_request_duration_seconds",
                    "Time from a request's head to its answer's head; a pull's wait is part of it"
                )
                .buckets(wait_buckets.clone()),
                &["route", "method", "code"],
                registry
            )?,
            pull_wait_seconds: histogram(
                "restante_pull_wait_seconds",
                "Time that pulls were held",
                wait_buckets,
            )?,
            pull_timeouts: counter(
                "restante_pull_timeouts_total",
                "Pulls answered by the time-out response",
            )?,
            sync_seconds: histogram(
                "restante_store_sync_seconds",
                "Time of each group's write and sync",
                sync_buckets,
            )?,
            connections: ConnectionCounts {
                open: gauge("restante_connections", "Clients that are connected")?,
                write_timeouts: counter(
                    "restante_write_timeouts_total",
                    "Connections and HTTP/2 streams closed because their client took too little of its answer",
                )?,
            },
            connections_refused: counter(
                "restante_connections_refused_total",
                "Connections closed at once because of the limit of connections",
            )?,
            connections_closed_idle: counter(
                "restante_connections_closed_idle_total",
                "Idle connections closed to make room for others",
            )?,
            keys_refused: counter(
                "restante_idempotency_keys_refused_total",
                "Pushes refused because of the limit of remembered idempotency keys",
            )?,
            disk_refused: counter(
                "restante_store_share_refused_total",
                "Pushes refused because their channel has its share of the volume",
            )?,
            callers: CallerCounts {
                requests_refused: counter(
                    "restante_requests_refused_total",
                    "Requests refused because of the limit of open requests",
                )?,
                bodies_refused: counter(
                    "restante_bodies_refused_total",
                    "Requests refused because of the memory limit of request bodies",
                )?,
                answers_refused: counter(
                    "restante_answers_refused_total",
                    "Requests refused because of the memory limit of answers",
                )?,
            },
            sampled: Sampled {
                store_segments: gauge("restante_store_segments", "Segment files of the log")?,
                store_bytes: gauge("restante_store_bytes", "Bytes of the log's segment files")?,
                store_live_bytes: gauge(
                    "restante_store_live_bytes",
                    "Bytes in the log that are still needed",
                )?,
                store_outbox_messages: gauge(
                    "restante_store_outbox_messages",
                    "Messages that another core is still to have",
                )?,
                address_revision: float(
                    "restante_address_revision",
                    "Low 53 bits of the address store's revision",
                )?,
                address_channels: gauge("restante_address_channels", "Channels in the address store")?,
                orphan_channels: gauge(
                    "restante_orphan_channels",
                    "Channels that keep their messages though the set no longer has them",
                )?,
                idempotency_keys: gauge("restante_idempotency_keys", "Idempotency keys that are remembered")?,
                body_memory_bytes: gauge("restante_body_memory_bytes", "Bytes of request bodies in flight")?,
                answer_memory_bytes: gauge("restante_answer_memory_bytes", "Bytes of answers in flight")?,
                requests: gauge("restante_requests_open", "Requests that are being answered")?,
                waiting_receivers: gauge("restante_waiting_receivers", "Receivers that wait for a message")?,
                waiting_senders: gauge(
                    "restante_waiting_senders",
                    "Senders that wait for room in a channel",
                )?,
                hot_body_memory_bytes: gauge(
                    "restante_hot_body_memory_bytes",
                    "Bytes of contents kept in memory for the receivers to come",
                )?,
                clock_skew_seconds: float(
                    "restante_clock_skew_seconds",
                    "Lead of the wall clock over the broker's clock, which never runs backwards",
                )?,
                clock_uncounted_seconds: float(
                    "restante_clock_uncounted_seconds",
                    "Downtime before the start by the wall clock that does not count as passed",
                )?,
            },
            registry,
        })
    }

    /// Everything, as it is now.
    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }
}
