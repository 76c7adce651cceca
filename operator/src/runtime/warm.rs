//! The watches, which keep the stores up to date. They only read, so a replica that does not lead can run them too.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use restante_crds::{MessageBroker, MessageChannel};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::Fleet,
    kinds::broker::mapping,
    metrics::Metrics,
    names::BROKER_LABEL,
    reconcile::kind::Kind,
    shared::{triggers::Triggers, watches::watch_failed},
};

/// The number of watches.
const WATCHES: usize = 3;
/// The annotation in which `kubectl apply` keeps a copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The watched objects, and the reconciles that their changes trigger.
#[derive(Clone)]
pub(super) struct Stores {
    /// Every MessageChannel.
    pub(super) channels: Store<DeserializeGuard<MessageChannel>>,
    /// Every MessageBroker in the operator's namespace. Those in other namespaces belong to other operators.
    pub(super) brokers: Store<DeserializeGuard<MessageBroker>>,
    /// Every broker pod.
    pub(super) pods: Store<Pod>,
    /// Whether the first lists of all three are complete. The stores cannot be asked directly: if several tasks wait
    /// for a store, kube 5.0 wakes only the last one.
    pub(super) seen: watch::Receiver<bool>,
    pub(super) channel_triggers: Triggers<DeserializeGuard<MessageChannel>>,
    pub(super) broker_triggers: Triggers<DeserializeGuard<MessageBroker>>,
}

/// The writers of the stores.
pub(super) struct Writers {
    channels: Writer<DeserializeGuard<MessageChannel>>,
    brokers: Writer<DeserializeGuard<MessageBroker>>,
    pods: Writer<Pod>,
    seen: watch::Sender<bool>,
}

/// Empty stores.
pub(super) fn stores() -> (Stores, Writers) {
    let ((channels, channel_writer), (brokers, broker_writer), (pods, pod_writer)) =
        (reflector::store(), reflector::store(), reflector::store());
    let (seen_sender, seen) = watch::channel(false);
    let stores = Stores {
        channels,
        brokers,
        pods,
        seen,
        channel_triggers: Triggers::default(),
        broker_triggers: Triggers::default(),
    };
    let writers =
        Writers { channels: channel_writer, brokers: broker_writer, pods: pod_writer, seen: seen_sender };
    (stores, writers)
}

/// The parameters of the watches.
pub(super) struct Warm<'a> {
    pub(super) client: &'a Client,
    /// The operator's namespace.
    pub(super) namespace: &'a str,
    pub(super) stores: &'a Stores,
    pub(super) fleet: &'a Fleet,
    pub(super) metrics: &'a Metrics,
    pub(super) stop: &'a CancellationToken,
}

/// Keeps the stores up to date until `stop` is cancelled. Every change of an object triggers its reconcile, and is
/// passed on to the tasks of the brokers.
pub(super) async fn warm(warm: Warm<'_>, writers: Writers) {
    let Warm { client, namespace, stores, fleet, .. } = warm;
    let missing = AtomicUsize::new(WATCHES);
    let listed = || {
        if missing.fetch_sub(1, Ordering::Relaxed) == 1 {
            let (channels, brokers) = (stores.channels.len(), stores.brokers.len());
            tracing::info!(channels, brokers, "listed every resource");
            writers.seen.send_replace(true);
        }
    };
    let channels = warm.watch(
        MessageChannel::KIND,
        Api::all(client.clone()),
        watcher::Config::default(),
        writers.channels,
        &listed,
        |event| match event {
            Event::Apply(channel) => {
                fleet.channel_changed(&channel);
                stores.channel_triggers.extend([ObjectRef::from_obj(&channel)]);
            }
            Event::Delete(channel) => fleet.channel_changed(&channel),
            Event::InitApply(channel) => stores.channel_triggers.extend([ObjectRef::from_obj(&channel)]),
            Event::InitDone => fleet.channels_listed(),
            Event::Init => {}
        },
    );
    let brokers = warm.watch(
        MessageBroker::KIND,
        Api::namespaced(client.clone(), namespace),
        watcher::Config::default(),
        writers.brokers,
        &listed,
        |event| {
            if let Event::Apply(broker) | Event::InitApply(broker) = event {
                stores.broker_triggers.extend([ObjectRef::from_obj(&broker)]);
            }
        },
    );
    let pods = warm.watch(
        "Pod",
        Api::<Pod>::namespaced(client.clone(), namespace),
        mapping::pods_and_claims(),
        writers.pods,
        &listed,
        |event| {
            let (Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod)) = event else { return };
            if let Some(broker) = pod.labels().get(BROKER_LABEL) {
                fleet.pod_changed(broker);
            }
        },
    );
    tokio::join!(channels, brokers, pods);
}

impl Warm<'_> {
    /// Watches one kind. The store has each event already when `notify` gets it.
    async fn watch<K>(
        &self,
        kind: &str,
        api: Api<K>,
        config: watcher::Config,
        writer: Writer<K>,
        listed: impl Fn(),
        notify: impl Fn(Event<K>),
    ) where
        K: Pruned + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let events = watcher(api, config).default_backoff().modify(K::prune).reflect(writer);
        let events = events.take_until(self.stop.cancelled());
        tokio::pin!(events);
        let mut is_listed = false;
        while let Some(event) = events.try_next().await.transpose() {
            match event {
                Ok(event) => {
                    let is_first_list = matches!(event, Event::InitDone) && !is_listed;
                    notify(event);
                    if is_first_list {
                        is_listed = true;
                        listed();
                    }
                }
                Err(error) => watch_failed(kind, self.metrics, &error),
            }
        }
    }
}

/// A watched object. The store keeps only the parts that the operator reads: the rest is most of its memory.
trait Pruned: Resource<DynamicType = ()> {
    fn prune(&mut self) {
        let metadata = self.meta_mut();
        metadata.managed_fields = None;
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(LAST_APPLIED);
        }
    }
}

impl<K: Kind> Pruned for DeserializeGuard<K> {}

impl Pruned for Pod {
    fn prune(&mut self) {
        self.metadata.managed_fields = None;
        self.metadata.annotations = None;
        self.spec = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_stores_keep_only_what_the_operator_reads() {
        let metadata = json!({
            "name": "orders",
            "annotations": { LAST_APPLIED: "{}", "restante.dev/force-delete": "true" },
            "labels": { "app": "a" },
            "managedFields": [{ "manager": "kubectl" }],
        });
        for spec in [json!({ "access": { "anonymous": true } }), json!("unreadable")] {
            let mut channel: DeserializeGuard<MessageChannel> = serde_json::from_value(json!({
                "apiVersion": "restante.dev/v1alpha1", "kind": "MessageChannel", "metadata": metadata, "spec": spec,
            }))
            .unwrap();
            channel.prune();
            assert!(channel.meta().managed_fields.is_none());
            assert_eq!(channel.annotations().keys().collect::<Vec<_>>(), ["restante.dev/force-delete"]);
        }
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": metadata, "spec": { "containers": [] }, "status": { "phase": "Running" },
        }))
        .unwrap();
        pod.prune();
        assert!(pod.spec.is_none() && pod.status.is_some() && pod.labels().contains_key("app"));
    }
}
