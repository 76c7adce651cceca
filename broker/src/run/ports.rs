//! The thread of the ports that a slow disk must not hold up, and of the signals.

use std::{net::TcpListener as BlockingListener, path::PathBuf, time::Duration};

use futures_util::future::JoinAll;
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{RunError, open::take};
use crate::{
    address_store::AddressStore,
    admin::{self, Admin},
    control::{self, Token},
    core::Cores,
    drain::Drain,
    first_failure::FirstFailure,
    http::{self, BrowserRules, ConnectionCounts, ConnectionLimits, Places, Server},
    manifests,
    signals::{Said, Signals},
};

/// How long a failed log leaves for its last answers before the process exits.
const FAILED_EXIT_WITHIN: Duration = Duration::from_secs(2);
/// Connections of the admin port, and of the control port: an operator has one, Prometheus one, a probe one for a moment. Whoever
/// comes when all are taken takes the place of the one that has been idle longest.
pub(crate) const PLACES: usize = 256;
/// How long the admin port's open requests may hold up the end.
const ADMIN_DRAIN: Duration = Duration::from_millis(200);

/// How the thread of each core ended.
pub(super) type DataEnded = JoinAll<oneshot::Receiver<Result<(), RunError>>>;

/// The ports of the other thread.
pub(super) struct Ports {
    pub(super) admin: (BlockingListener, Admin),
    pub(super) browsers: BrowserRules,
    pub(super) control: Option<(BlockingListener, Token)>,
}

/// What decides when the broker ends.
pub(super) struct Lifetime {
    pub(super) drain: Drain,
    pub(super) failed: CancellationToken,
    /// Why, if it is.
    pub(super) failure: FirstFailure,
    pub(super) store: AddressStore,
    pub(super) cores: Cores,
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
        let (end, clock) = (Drain::new(), lifetime.cores.clock());
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
                let manifests_rule = lifetime.manifests.is_some();
                let router = control::router(
                    lifetime.store.clone(),
                    lifetime.cores.clone(),
                    token,
                    manifests_rule,
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
    /// Obeys signals until the threads of the cores have ended.
    async fn run(&self, mut data_ended: DataEnded, mut signals: Signals) -> Result<(), RunError> {
        tracing::info!("the broker serves");
        let (log, addresses) = (self.failed.clone(), self.store.failed());
        loop {
            tokio::select! {
                said = signals.next() => match said {
                    Said::Reload => self.reload().await,
                    Said::Stop(_) if self.drain.has_begun() => {
                        tracing::warn!("told to stop twice: what is open ends now; every answer given is on disk");
                        return Ok(());
                    }
                    Said::Stop(_) => {
                        tracing::info!("told to stop: settles are served, and nothing else any more");
                        self.drain.begin();
                    }
                },
                () = either(&log, &addresses) => {
                    self.failed.cancel();
                    self.drain.begin();
                    // The answers that say so may leave; nothing else matters any more.
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

    /// Takes the manifests as they are now; if they cannot be obeyed, what was taken before goes on.
    async fn reload(&self) {
        let Some(path) = &self.manifests else {
            tracing::warn!("SIGHUP reads the manifests again, and there are none (--manifests)");
            return;
        };
        let (path, store, data_dir) = (path.clone(), self.store.clone(), self.data_dir.clone());
        // The disk may be slow, and this thread answers probes.
        let taken = spawn_blocking(move || -> Result<_, RunError> {
            take(&store, manifests::load(&path)?, &data_dir)
        });
        match taken.await.map_err(|error| RunError::Thread(error.into())).flatten() {
            Ok(changes) => {
                tracing::info!(
                    changed = changes.changed.len(),
                    withdrawn = changes.withdrawn.len(),
                    "took the manifests"
                );
                self.cores.changed(changes.changed).await;
                self.cores.withdrawn(changes.withdrawn).await;
            }
            Err(error) => tracing::error!(%error, "kept the channels as they were"),
        }
    }
}

async fn either(one: &CancellationToken, other: &CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}
