//! From flags to a serving broker, and from a signal to its end.
//!
//! Two threads: one runs the channels, their log and the data port; the other the admin and control ports and the
//! signals, so that a slow disk answers probes.

use std::{
    future::pending,
    io, mem,
    net::{SocketAddr, TcpListener as BlockingListener},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpListener, runtime, sync::oneshot, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    adapter::Context,
    address_store::{self, AddressStore},
    admin::{self, Admin, Health},
    channel::LeaseSealer,
    clock::Clock,
    config::Config,
    control::{self, Token},
    core::{self, Common, Core, CoreHandle, Found, Here, Jobs, Limits, SharedCore, tasks},
    data_folder::{DataFolder, DataFolderError},
    http::{
        self, BrowserRules, ConnectionCounts, ConnectionLimits, Server,
        body::{BodyLimits, BodyMemory},
    },
    log::{self, DiskLog},
    manifests::{self, ManifestError},
    metrics::Metrics,
    open_files,
    signals::{Said, Signals},
};

/// How long a failed log leaves for its last answers before the process exits.
const FAILED_EXIT_WITHIN: Duration = Duration::from_secs(2);
/// Connections that wait to be accepted: when a broker comes back, so do all of its receivers at once. The system allows as
/// many unless it was told otherwise (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// How long the admin port's open requests may hold up the end.
const ADMIN_DRAIN: Duration = Duration::from_millis(200);

/// Why the broker does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be had.
    #[error("failed to listen on {address} ({flag}): {source}; stop what has the port, or choose another")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// The flag that says it.
        flag: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The data folder cannot be had.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The address store cannot be opened.
    #[error(transparent)]
    AddressStore(#[from] address_store::OpenError),
    /// The manifests cannot be obeyed.
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    /// What the manifests say cannot be stored.
    #[error("failed to take the manifests: {0}")]
    Apply(#[from] address_store::ApplyError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] log::OpenError),
    /// The channels cannot be rebuilt from the log.
    #[error(transparent)]
    Core(#[from] core::StartError),
    /// The credential cannot be read.
    #[error(transparent)]
    Token(#[from] control::TokenError),
    /// The metrics are inconsistent, which is a defect.
    #[error("failed to register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A thread or runtime cannot be made.
    #[error("failed to start a thread of the broker: {0}")]
    Thread(io::Error),
    /// The log failed while the broker ran.
    #[error("the log failed; what was stored is decided when the broker starts again")]
    StoreFailed,
}

impl RunError {
    /// `sysexits.h`: 74 is EX_IOERR, which a supervisor may take for a disk that needs a look; 78 is EX_CONFIG.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::StoreFailed => ExitCode::from(74),
            Self::Manifests(_) | Self::Apply(_) | Self::Token(_) => ExitCode::from(78),
            Self::Listen { .. }
            | Self::DataFolder(_)
            | Self::AddressStore(_)
            | Self::Log(_)
            | Self::Core(_)
            | Self::Metrics(_)
            | Self::Thread(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs a broker until a signal or a failed log ends it.
pub fn run(config: Config) -> Result<(), RunError> {
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
        connections_max,
        head_timeout,
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
        drain_seconds,
        metrics_channels_max,
        log: _,
        log_format: _,
    } = config;

    let data_listener = bind(listen, "--listen")?;
    let admin_listener = bind(admin_listen, "--admin-listen")?;
    let control = match (control_listen, control_token_file) {
        (Some(address), Some(file)) => Some((bind(address, "--control-listen")?, Token::read(&file)?)),
        _ => None,
    };
    let channels = manifests.as_deref().map(manifests::load).transpose()?;

    let folder = DataFolder::open(&data_dir, lock_wait)?;
    let store = AddressStore::open(&folder.addresses(), folder.store_id())?;
    if let Some(channels) = channels {
        store.sync(channels)?;
    }
    let metrics = Arc::new(Metrics::new()?);
    let limits = Limits {
        waiting_receivers: waiting_receivers_max,
        waiting_senders: waiting_senders_max,
        idempotency_keys: idempotency_keys_max,
        hot_bytes: hot_body_memory.as_u64() as usize,
    };
    let options = log::Options { segment_bytes: segment_size.as_u64() };
    let log = DiskLog::open(&folder.log(), options)?;
    let sealer = LeaseSealer::new(folder.lease_key());
    let common = Common::new(&store, sealer, limits, metrics.clone())?;
    let found = current_thread()?.block_on(Found::read(log, Here::ALONE)).map_err(core::StartError::from)?;
    let clock = Clock::start(found.newest());
    let core = Core::start(found, common, clock)?;
    let core = SharedCore::new(core);
    let (handle, jobs) = CoreHandle::new(&core);
    let body_memory = BodyMemory::new(body_memory.as_u64());
    let answers = BodyMemory::new(answer_memory.as_u64());
    let (drain, failed) = (CancellationToken::new(), CancellationToken::new());
    let health = Health::new(store.clone(), drain.clone(), failed.clone());

    let context = Arc::new(Context {
        store: store.clone(),
        core: core.clone(),
        counters: core.with(|core| core.counters()),
        browsers: BrowserRules::new(allowed_origins, allowed_hosts),
        answers: answers.clone(),
        bodies: BodyLimits { memory: body_memory.clone(), timeout: body_timeout },
        drain: drain.clone(),
        metrics: metrics.clone(),
    });
    let limits = ConnectionLimits { connections_max, head_timeout, write_timeout, h2_streams_max };
    open_files::raise(connections_max);
    let data = Data {
        listener: data_listener,
        context,
        jobs,
        health: health.clone(),
        limits,
        drain_timeout: drain_seconds,
    };
    let (ended, data_ended) = oneshot::channel();
    let data_failed = failed.clone();
    thread::Builder::new()
        .name("data".into())
        .spawn(move || {
            // The receiver outlives this thread.
            let _ = ended.send(data.run(data_failed));
        })
        .map_err(RunError::Thread)?;

    let admin = Admin {
        health,
        metrics,
        store: store.clone(),
        core: handle.clone(),
        body_memory,
        answers,
        channels_max: metrics_channels_max,
    };
    let ports = Ports { admin: (admin_listener, admin), control };
    let outcome = current_thread()?.block_on(ports.run(Lifetime {
        drain,
        failed,
        data_ended,
        store,
        handle,
        manifests,
        data_dir,
    }));
    // The lock ends with the process: until then a thread of it may be making a segment.
    mem::forget(folder);
    outcome
}

/// The thread of the channels.
struct Data {
    listener: BlockingListener,
    context: Arc<Context>,
    jobs: Jobs,
    health: Health,
    limits: ConnectionLimits,
    drain_timeout: Duration,
}

impl Data {
    fn run(self, failed: CancellationToken) -> Result<(), RunError> {
        let Self { listener, context, jobs, health, limits, drain_timeout } = self;
        let core = context.core.clone();
        current_thread()?.block_on(async move {
            let listener = TcpListener::from_std(listener).map_err(RunError::Thread)?;
            let drain = context.drain.clone();
            let counts = context.metrics.connections.clone();
            let service = http::service(context);
            let server = Server { listener, service, limits, counts, drain, drain_timeout };
            tokio::select! {
                () = http::serve(server) => {}
                // After a failure the last answers leave; the process ends by the other thread.
                () = async { tasks::commit_groups(core.clone(), failed).await; pending().await } => {}
                () = tasks::follow_time(core.clone()) => {}
                () = jobs.run(core.clone()) => {}
                () = health.tick() => {}
            }
            tasks::commit_everything(&core).await;
            if core.with(|core| core.has_failed()) { Err(RunError::StoreFailed) } else { Ok(()) }
        })
    }
}

/// The ports of the other thread.
struct Ports {
    admin: (BlockingListener, Admin),
    control: Option<(BlockingListener, Token)>,
}

/// What decides when the broker ends.
struct Lifetime {
    drain: CancellationToken,
    failed: CancellationToken,
    data_ended: oneshot::Receiver<Result<(), RunError>>,
    store: AddressStore,
    handle: CoreHandle,
    manifests: Option<PathBuf>,
    data_dir: PathBuf,
}

impl Ports {
    async fn run(self, mut lifetime: Lifetime) -> Result<(), RunError> {
        let mut signals = Signals::listen().map_err(RunError::Thread)?;
        let end = CancellationToken::new();
        let serve = |listener, router| -> Result<_, RunError> {
            let listener = TcpListener::from_std(listener).map_err(RunError::Thread)?;
            Ok(http::serve(Server {
                listener,
                service: TowerToHyperService::new(router),
                limits: ConnectionLimits::default(),
                counts: ConnectionCounts::unread(),
                drain: end.clone(),
                drain_timeout: ADMIN_DRAIN,
            }))
        };
        let (listener, admin) = self.admin;
        let admin = serve(listener, admin::router(admin))?;
        let control = match self.control {
            Some((listener, token)) => {
                let manifests_rule = lifetime.manifests.is_some();
                let router = control::router(
                    lifetime.store.clone(),
                    lifetime.handle.clone(),
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
            let outcome = lifetime.run(&mut signals).await;
            end.cancel();
            outcome
        };
        let (outcome, (), ()) = tokio::join!(life, admin, control);
        outcome
    }
}

impl Lifetime {
    /// Obeys signals until the data thread has ended.
    async fn run(&mut self, signals: &mut Signals) -> Result<(), RunError> {
        tracing::info!("the broker serves");
        let (log, addresses) = (self.failed.clone(), self.store.failed());
        loop {
            tokio::select! {
                said = signals.next() => match said {
                    Said::Reload => self.reload().await,
                    Said::Stop if self.drain.is_cancelled() => {
                        tracing::warn!("told to stop twice: what is open ends now; every answer given is on disk");
                        return Ok(());
                    }
                    Said::Stop => {
                        tracing::info!("told to stop: settles are served, and nothing else any more");
                        self.drain.cancel();
                    }
                },
                () = either(&log, &addresses) => {
                    self.failed.cancel();
                    self.drain.cancel();
                    // The answers that say so may leave; nothing else matters any more.
                    let _ = timeout(FAILED_EXIT_WITHIN, &mut self.data_ended).await;
                    return Err(RunError::StoreFailed);
                }
                ended = &mut self.data_ended => return ended.unwrap_or(Err(RunError::StoreFailed)),
            }
        }
    }

    /// Takes the manifests as they are now; if they cannot be obeyed, what was taken before goes on.
    async fn reload(&self) {
        let Some(path) = &self.manifests else {
            tracing::warn!("SIGHUP reads the manifests again, and there are none (--manifests)");
            return;
        };
        let (path, store) = (path.clone(), self.store.clone());
        // The disk may be slow, and this thread answers probes.
        let taken =
            spawn_blocking(move || -> Result<_, RunError> { Ok(store.sync(manifests::load(&path)?)?) });
        match taken.await.map_err(|error| RunError::Thread(error.into())).flatten() {
            Ok(changes) => {
                tracing::info!(
                    changed = changes.changed.len(),
                    withdrawn = changes.withdrawn.len(),
                    "took the manifests"
                );
                self.handle.changed(changes.changed).await;
                self.handle.withdrawn(changes.withdrawn).await;
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

fn bind(address: SocketAddr, flag: &'static str) -> Result<BlockingListener, RunError> {
    let listen = || -> io::Result<BlockingListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A port that a broker had a moment ago still has connections that are closing.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    let listener = listen().map_err(|source| RunError::Listen { address, flag, source })?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, flag, "listening");
    Ok(listener)
}

fn current_thread() -> Result<runtime::Runtime, RunError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)
}
