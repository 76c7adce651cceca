//! The thread of the admin and control ports, which must not wait for a slow disk, and of the signals.

use std::{net::TcpListener as BlockingListener, path::PathBuf, time::Duration};

use futures_util::future::JoinAll;
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{RunError, open::apply_manifests};
use crate::{
    address_store::AddressStore,
    admin::{self, Admin},
    control::{self, Token},
    drain::Drain,
    first_failure::FirstFailure,
    http::{self, BrowserRules, ConnectionCounts, ConnectionLimits, Places, Server},
    manifests,
    signals::{ProcessSignal, Signals},
    worker::Shards,
};

/// Time for the last answers after a storage failure, before the process exits.
const FAILED_EXIT_WITHIN: Duration = Duration::from_secs(2);
/// Connections of the admin port and of the control port, each: one for an operator, one for Prometheus, and short ones
/// of probes. Beyond the limit, the connection that has been idle longest is closed.
pub(crate) const PLACES: usize = 256;
/// Time that open requests of the admin port may delay the end of the process.
const ADMIN_DRAIN: Duration = Duration::from_millis(200);

/// The results of all worker threads.
pub(super) type DataEnded = JoinAll<oneshot::Receiver<Result<(), RunError>>>;

/// The admin and control ports.
pub(super) struct Ports {
    pub(super) admin: (BlockingListener, Admin),
    pub(super) browsers: BrowserRules,
    pub(super) control: Option<(BlockingListener, Token)>,
}

/// Decides when the broker ends.
pub(super) struct Lifetime {
    pub(super) drain: Drain,
    pub(super) failed: CancellationToken,
    /// The storage failure, if there is one.
    pub(super) failure: FirstFailure,
    pub(super) store: AddressStore,
    pub(super) shards: Shards,
    pub(super) manifests: Option<PathBuf>,
    pub(super) data_dir: PathBuf,
}

impl Ports {
    pub(super) async fn run(
        self,
        lifetime: Lifetime,
        data_ended: DataEnded,
        signals: Signals,
    ) -> Result<(), RunError> {
        let (end, clock) = (Drain::new(), lifetime.shards.clock());
        let serve = |listener, router| -> Result<_, RunError> {
            let listener = TcpListener::from_std(listener).map_err(RunError::Thread)?;
            Ok(http::serve(Server {
                listener,
                service: router,
                limits: ConnectionLimits::default(),
                places: Places::uncounted(PLACES),
                counts: ConnectionCounts::unread(),
                clock: clock.clone(),
                drain: end.clone(),
                drain_timeout: ADMIN_DRAIN,
            }))
        };
        let (listener, admin) = self.admin;
        let admin = serve(listener, admin::router(admin, &self.browsers))?;
        let control = match self.control {
            Some((listener, token)) => {
                let managed_by_manifests = lifetime.manifests.is_some();
                let router = control::router(
                    lifetime.store.clone(),
                    lifetime.shards.clone(),
                    token,
                    managed_by_manifests,
                    &lifetime.data_dir,
                );
                Some(serve(listener, router)?)
            }
            None => None,
        };
        let control = async {
            if let Some(control) = control {
                control.await
            }
        };
        let life = async {
            let outcome = lifetime.run(data_ended, signals).await;
            end.begin();
            outcome
        };
        let (outcome, (), ()) = tokio::join!(life, admin, control);
        outcome
    }
}

impl Lifetime {
    /// Handles signals until all worker threads have ended.
    async fn run(&self, mut data_ended: DataEnded, mut signals: Signals) -> Result<(), RunError> {
        tracing::info!("the broker is ready");
        let (log, addresses) = (self.failed.clone(), self.store.failed());
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    ProcessSignal::Reload => self.reload().await,
                    ProcessSignal::Stop(_) if self.drain.has_begun() => {
                        tracing::warn!("second stop signal: closing open connections now; everything acknowledged so far is on disk");
                        return Ok(());
                    }
                    ProcessSignal::Stop(stop) => {
                        tracing::info!(signal = stop.name(), "draining: only lease operations are accepted");
                        self.drain.begin();
                    }
                },
                () = either(&log, &addresses) => {
                    self.failed.cancel();
                    self.drain.begin();
                    // Leaves time for the answers that report the failure.
                    let _ = timeout(FAILED_EXIT_WITHIN, &mut data_ended).await;
                    return Err(self.store_failed());
                }
                ended = &mut data_ended => {
                    return ended.into_iter().try_for_each(|core| core.unwrap_or_else(|_| Err(self.store_failed())));
                }
            }
        }
    }

    fn store_failed(&self) -> RunError {
        RunError::store_failed([&self.failure, &self.store.failure()])
    }

    /// Reads and applies the manifests. If they are invalid, the channels stay unchanged.
    async fn reload(&self) {
        let Some(path) = &self.manifests else {
            tracing::warn!("ignored SIGHUP: there are no manifests to read again (--manifests)");
            return;
        };
        let (path, store, data_dir) = (path.clone(), self.store.clone(), self.data_dir.clone());
        // The disk may be slow, and this thread answers probes.
        let applied = spawn_blocking(move || -> Result<_, RunError> {
            apply_manifests(&store, manifests::load(&path)?, &data_dir)
        });
        match applied.await.map_err(|error| RunError::Thread(error.into())).flatten() {
            Ok(changes) => {
                tracing::info!(
                    changed = changes.changed.len(),
                    withdrawn = changes.withdrawn.len(),
                    "applied the manifests"
                );
                self.shards.changed(changes.changed).await;
                self.shards.withdrawn(changes.withdrawn).await;
            }
            Err(error) => {
                tracing::error!(%error, "failed to apply the manifests; the channels are unchanged")
            }
        }
    }
}

async fn either(one: &CancellationToken, other: &CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}
