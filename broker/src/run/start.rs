//! From flags to a broker that is ready to serve: ports, data folder, logs, channels.
//!
//! A start may be cut off at any moment; the next one continues from there, as after a crash.

use std::{mem::ManuallyDrop, sync::Arc};

use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use super::{
    RunError,
    data::Data,
    listen::{bind, bind_for},
    open::{self, Opened, apply_manifests},
    open_files,
    ports::{Lifetime, Ports},
};
use crate::{
    address_store::AddressStore,
    admin::{Admin, Health},
    api::Context,
    channel::LeaseSealer,
    clock::TimeSource,
    config::Config,
    control::Token,
    data_folder::DataFolder,
    drain::Drain,
    http::{BrowserRules, CallerLimits, Callers, ConnectionLimits, Places, Prefix, TrustedProxies},
    log, manifests,
    metrics::Metrics,
    service::Service,
    shard::{Common, Limits, Placement},
    worker::{Mailbox, Router, Shards, SharedShard},
};

/// A broker that is ready to serve.
pub(super) struct Started {
    /// One for each worker thread.
    pub(super) data: Vec<Data>,
    /// For the thread of the admin and control ports.
    pub(super) ports: Ports,
    pub(super) lifetime: Lifetime,
}

/// Starts a broker. Blocks on the disk, and while another broker holds the data folder.
pub(super) fn start(config: Config) -> Result<Started, RunError> {
    let Config {
        listen,
        admin_listen,
        control_listen,
        control_token_file,
        data_dir,
        manifests,
        lock_wait,
        allowed_hosts,
        allowed_origins,
        external_url,
        trusted_proxies,
        connections_max,
        requests_max,
        head_timeout,
        keep_alive,
        body_timeout,
        write_timeout,
        h2_streams_max,
        body_memory,
        answer_memory,
        hot_body_memory,
        waiting_receivers_max,
        waiting_senders_max,
        idempotency_keys_max,
        segment_size,
        cores,
        count_downtime,
        drain_seconds,
        metrics_channels_max,
        log: _,
        log_format: _,
    } = config;

    let source = TimeSource::system().trusted(count_downtime);
    if let Some(seconds) = source.without_date() {
        return Err(RunError::Clock { seconds });
    }
    let data_listeners = bind_for(cores.get(), listen, "--listen")?;
    let admin_listener = bind(admin_listen, "--admin-listen")?;
    let control = match (control_listen, control_token_file) {
        (Some(address), Some(file)) => Some((bind(address, "--control-listen")?, Token::read(&file)?)),
        _ => None,
    };
    let channels = manifests.as_deref().map(manifests::load).transpose()?;

    // The lock must last until the process ends: until then a thread may still be writing.
    let folder = ManuallyDrop::new(DataFolder::open(&data_dir, lock_wait)?);
    // The store is not written before its logs are known to belong to it. Only then may the manifests change it.
    let store = AddressStore::read(&folder.addresses(), folder.store_id())?;
    store.keep(folder.guard());
    let options = log::Options { segment_bytes: segment_size.as_u64() };
    let found = open::read(&folder, cores.get(), options, &store, source)?;
    if let Some(channels) = channels {
        apply_manifests(&store, channels, &data_dir)?;
    }
    let metrics = Arc::new(Metrics::new()?);
    let limits = Limits {
        waiting_receivers: waiting_receivers_max,
        waiting_senders: waiting_senders_max,
        idempotency_keys: idempotency_keys_max,
        hot_bytes: hot_body_memory.as_u64() as usize,
    };
    let sealer = LeaseSealer::new(folder.lease_key()?);
    let common = Common::new(&store, sealer, limits, metrics.clone())?;
    let Opened { shards, clock, older } = found.start(&common)?;
    let shards: Vec<_> = shards.into_iter().map(SharedShard::new).collect();
    let (handles, jobs): (Vec<_>, Vec<_>) = shards.iter().map(Mailbox::new).unzip();
    let all = Shards::new(handles, common.counters.clone(), clock.clone());
    let shares = CallerLimits {
        requests: requests_max.into(),
        body_bytes: body_memory.as_u64(),
        answer_bytes: answer_memory.as_u64(),
    };
    let proxies = TrustedProxies::new(trusted_proxies);
    let callers = Callers::new(shares, &metrics.callers, proxies.clone());
    let (drain, failed) = (Drain::new(), CancellationToken::new());
    let (health, ticks) = Health::new(shards.len(), store.clone(), drain.clone(), failed.clone());

    let limits = ConnectionLimits { head_timeout, keep_alive, write_timeout, h2_streams_max, requests_max };
    let places = open_files::places(connections_max);
    let places = Places::new(
        places,
        metrics.connections_refused.clone(),
        metrics.connections_closed_idle.clone(),
        proxies.clone(),
    );
    let (all_threads, count) = (Arc::new(Barrier::new(shards.len())), shards.len());
    let browsers = BrowserRules::new(allowed_origins, allowed_hosts);
    let prefix = Prefix::new(external_url.as_ref(), proxies.clone());
    let of_each = shards.into_iter().zip(jobs).zip(data_listeners).zip(ticks).enumerate();
    let data = of_each.map(|(index, (((shard, jobs), listener), ticks))| {
        let service = Service {
            store: store.clone(),
            router: Router::new(Placement { shard: index, shards: count }, shard, all.clone()),
            clock: clock.clone(),
            sealer: common.sealer.clone(),
            counters: common.counters.clone(),
            drain: drain.clone(),
            metrics: metrics.clone(),
        };
        let context = Arc::new(Context {
            service: Arc::new(service),
            browsers: browsers.clone(),
            prefix: prefix.clone(),
            health: health.clone(),
            callers: callers.clone(),
            body_timeout,
        });
        let (limits, places, all) = (limits.clone(), places.clone(), all_threads.clone());
        let drain_timeout = drain_seconds;
        Data { listener, context, jobs, health: ticks, limits, places, drain_timeout, all }
    });
    let data = data.collect();

    let admin = Admin {
        health,
        metrics,
        store: store.clone(),
        shards: all.clone(),
        older,
        callers,
        channels_max: metrics_channels_max,
    };
    let ports = Ports { admin: (admin_listener, admin), browsers, control };
    let failure = common.failure.clone();
    let lifetime = Lifetime { drain, failed, failure, store, shards: all, manifests, data_dir };
    Ok(Started { data, ports, lifetime })
}
