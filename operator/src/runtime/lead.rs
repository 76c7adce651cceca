//! The reconciles and everything else that writes. A replica that does not lead runs none of this.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kube::{Resource, runtime::reflector::ObjectRef};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::warm::Stores;
use crate::{
    context::Context,
    kinds::broker::{default_broker, mapping, orphaned_children},
    ownership::{default_operator, foreign_channels},
    reconcile::controller::{controller, run},
};

/// The interval between two checks for deleted MessageBrokers, whose channels must be reconciled. A check only reads
/// memory.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// Reconciles until `stop` is cancelled. `ready` is set as soon as every resource is listed.
pub(super) async fn lead(
    context: &Arc<Context>,
    stores: &Stores,
    ready: &AtomicBool,
    stop: &CancellationToken,
) {
    let Context { client, metrics, ownership, args, .. } = context.as_ref();
    let (default_sender, default_known) = watch::channel(false);
    let channels = controller(&stores.channels, &stores.channel_triggers, stop);
    let brokers = controller(&stores.brokers, &stores.broker_triggers, stop);
    let brokers = mapping::watch_children(brokers, client, &args.namespace);
    let default_broker = async {
        if let Some(name) = &args.default_broker_configmap {
            default_broker::keep(Arc::clone(context), name, stop.clone()).await;
        }
    };
    let default_operator = default_operator::follow(
        client.clone(),
        ownership,
        &stores.channels,
        &stores.channel_triggers,
        metrics,
        stop,
        move || {
            default_sender.send_replace(true);
        },
    );
    let foreign_channels =
        foreign_channels::log_changes(ownership, &stores.channels, default_known.clone(), stop);
    tokio::join!(
        run(channels, context),
        run(brokers, context),
        report_ready(stores.seen.clone(), default_known, ready, stop),
        sweep(context, stop),
        default_operator,
        foreign_channels,
        default_broker,
    );
}

/// Reports readiness once every resource is listed and the default operator is known. Programming brokers does not wait
/// for the latter: the owner of a channel with our finalizer does not depend on it.
async fn report_ready(
    mut seen: watch::Receiver<bool>,
    mut default_known: watch::Receiver<bool>,
    ready: &AtomicBool,
    stop: &CancellationToken,
) {
    let is_ready =
        seen.wait_for(|seen| *seen).await.is_ok() && default_known.wait_for(|known| *known).await.is_ok();
    ready.store(is_ready, Ordering::Relaxed);
    stop.cancelled().await;
    ready.store(false, Ordering::Relaxed);
}

async fn sweep(context: &Context, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
        let gone = context.fleet.sweep(|name| {
            let broker = context.brokers.get(&ObjectRef::new(name).within(&context.args.namespace));
            broker.is_some_and(|broker| {
                orphaned_children::note_policy(context, broker.meta());
                broker.meta().deletion_timestamp.is_none()
            })
        });
        for member in gone {
            if let Err(error) = orphaned_children::delete_with_owner(context, &member).await {
                tracing::warn!(broker = member.name, %error, "children of a deleted MessageBroker may be left behind");
            }
        }
    }
}
