//! The thread of a worker: its channels, and the connections that the kernel assigns to it.

use std::{future::pending, io, net::TcpListener as BlockingListener, sync::Arc, thread, time::Duration};

use tokio::{
    net::TcpListener,
    runtime,
    sync::{Barrier, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::RunError;
use crate::{
    admin::WorkerHealth,
    api::{Context, DataPort, THREADS_MAX},
    first_failure::FirstFailure,
    http::{self, ConnectionLimits, Places, Server},
    service::Service,
    worker::{MailboxDriver, send_parcels, tasks},
};

pub(super) struct Data {
    pub(super) listener: BlockingListener,
    pub(super) context: Arc<Context>,
    pub(super) jobs: MailboxDriver,
    pub(super) health: WorkerHealth,
    pub(super) limits: ConnectionLimits,
    pub(super) places: Places,
    pub(super) drain_timeout: Duration,
    /// Where the threads of all workers meet at the end.
    pub(super) all: Arc<Barrier>,
}

impl Data {
    /// Starts the thread. The receiver gets its result.
    pub(super) fn start(
        self,
        core: usize,
        failed: CancellationToken,
    ) -> io::Result<oneshot::Receiver<Result<(), RunError>>> {
        let (ended, data_ended) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{core}")).spawn(move || {
            // The receiver outlives this thread.
            let _ = ended.send(self.run(failed));
        })?;
        Ok(data_ended)
    }

    fn run(self, failed: CancellationToken) -> Result<(), RunError> {
        let Self { listener, context, mut jobs, health, limits, places, drain_timeout, all } = self;
        let shard = context.service.router.own().clone();
        let mut runtime = runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(THREADS_MAX).build();
        runtime.map_err(RunError::Thread)?.block_on(async move {
            let listener = TcpListener::from_std(listener).map_err(RunError::Thread)?;
            let Service { drain, router, clock, metrics, .. } = &*context.service;
            let (drain, router, clock) = (drain.clone(), router.clone(), clock.clone());
            let counts = metrics.connections.clone();
            let answers = context.callers.answers().clone();
            let service = DataPort::new(context);
            let server = Server { listener, service, limits, places, counts, clock, drain, drain_timeout };
            let served = async {
                http::serve(server).await;
                // Each worker serves the others until the connections of all have ended.
                all.wait().await;
            };
            tokio::select! {
                () = served => {}
                // After a failure the last answers are still sent; the other thread ends the process.
                () = async { tasks::commit_groups(shard.clone(), failed).await; pending().await } => {}
                () = tasks::follow_time(shard.clone()) => {}
                () = tasks::serve_when_memory_is_free(shard.clone(), answers) => {}
                () = jobs.run(&router) => {}
                () = send_parcels(router.clone()) => {}
                () = health.tick() => {}
            }
            jobs.finish(&router, &all).await;
            tasks::commit_everything(&shard).await;
            let failure = shard.with(|shard| shard.failure());
            failure
                .map_or(Ok(()), |failure| Err(RunError::store_failed([&failure, &FirstFailure::default()])))
        })
    }
}
