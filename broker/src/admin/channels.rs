//! `/metrics/channels`: the metrics of each channel. They are collected at the scrape and registered nowhere, so the
//! series of a deleted channel disappear with it.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, sync::atomic::Ordering::Relaxed};

use futures_util::{Stream, stream};

use super::Admin;
use crate::{address_store::ChannelEntry, channel::ChannelCounters, clock::Millis};

/// A channel with its counters.
pub(super) type Sample = (Arc<ChannelEntry>, Arc<ChannelCounters>, Millis);

/// A metric of every channel.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    /// The values of a channel, with further labels.
    values: fn(&Sample) -> Vec<(&'static str, u64)>,
}

const FAMILIES: [Family; 11] = [
    Family {
        name: "restante_channel_messages",
        help: "Messages in the channel, by state",
        kind: "gauge",
        values: |sample| {
            let stats = stats(sample);
            vec![
                (",state=\"ready\"", stats.ready),
                (",state=\"leased\"", stats.leased),
                (",state=\"delayed\"", stats.delayed),
                (",state=\"dead\"", stats.dead),
            ]
        },
    },
    Family {
        name: "restante_channel_bytes",
        help: "Bytes of the bodies and kept headers of the channel's messages",
        kind: "gauge",
        values: |sample| vec![("", stats(sample).bytes)],
    },
    Family {
        name: "restante_channel_oldest_message_age_seconds",
        help: "Age in seconds of the channel's oldest message that is not a dead letter; 0 without one",
        kind: "gauge",
        values: |sample| vec![("", stats(sample).oldest_message_age_seconds.unwrap_or(0))],
    },
    Family {
        name: "restante_channel_waiting_receivers",
        help: "Receivers waiting for a message of the channel",
        kind: "gauge",
        values: |sample| vec![("", stats(sample).waiting_receivers)],
    },
    Family {
        name: "restante_channel_waiting_senders",
        help: "Senders waiting for room in the channel",
        kind: "gauge",
        values: |sample| vec![("", stats(sample).waiting_senders)],
    },
    Family {
        name: "restante_channel_dead_lettered_total",
        help: "Messages of the channel that became dead letters",
        kind: "counter",
        values: |(_, counters, _)| vec![("", counters.dead_lettered.load(Relaxed))],
    },
    Family {
        name: "restante_channel_expired_total",
        help: "Messages of the channel expired (TTL)",
        kind: "counter",
        values: |(_, counters, _)| vec![("", counters.expired.load(Relaxed))],
    },
    Family {
        name: "restante_channel_dropped_total",
        help: "Messages of the channel dropped to make room for newer ones (whenFull: DropOldest)",
        kind: "counter",
        values: |(_, counters, _)| vec![("", counters.dropped.load(Relaxed))],
    },
    Family {
        name: "restante_channel_pushed_total",
        help: "Messages stored in the channel",
        kind: "counter",
        values: |(_, counters, _)| vec![("", counters.pushed.load(Relaxed))],
    },
    Family {
        name: "restante_channel_delivered_total",
        help: "Deliveries of the channel's messages, redeliveries included",
        kind: "counter",
        values: |(_, counters, _)| vec![("", counters.delivered.load(Relaxed))],
    },
    Family {
        name: "restante_channel_settled_total",
        help: "Messages of the channel settled by their receivers",
        kind: "counter",
        values: |(_, counters, _)| vec![("", counters.settled.load(Relaxed))],
    },
];

fn stats((entry, counters, now): &Sample) -> restante_wire::ChannelStats {
    counters.stats(&entry.config, *now)
}

/// The channels for this scrape, up to the limit.
pub(super) fn sample(admin: &Admin) -> Vec<Sample> {
    let mut channels = admin.store.channels();
    if channels.len() > admin.channels_max {
        tracing::warn!(
            channels = channels.len(),
            max = admin.channels_max,
            "/metrics/channels leaves channels out (--metrics-channels-max)"
        );
        channels.truncate(admin.channels_max);
    }
    let now = admin.shards.clock().now();
    channels.into_iter().map(|entry| (entry.clone(), admin.shards.counters(entry.id), now)).collect()
}

/// Prints one family at a time, so that no scrape needs the whole text in memory.
pub(super) fn print(samples: Vec<Sample>) -> impl Stream<Item = Result<String, Infallible>> {
    stream::iter(FAMILIES.iter().map(move |family| Ok(print_family(family, &samples))))
}

fn print_family(family: &Family, samples: &[Sample]) -> String {
    let Family { name, help, kind, values } = family;
    let mut text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for sample in samples {
        // Namespaces and names of channels are DNS labels, which need no escaping.
        let config = &sample.0.config;
        for (labels, value) in values(sample) {
            let _ = writeln!(
                text,
                "{name}{{namespace=\"{}\",channel=\"{}\"{labels}}} {value}",
                config.namespace, config.name
            );
        }
    }
    text
}
