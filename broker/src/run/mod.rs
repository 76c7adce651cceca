//! From flags to a serving broker, and from a signal to its end.
//!
//! Each worker has a thread, with its channels, their log and its share of the data port's connections. One more thread
//! has the admin and control ports and the signals, so that probes are answered while a disk is slow. It listens for
//! signals before anything else, and the start runs on a thread of its own: a signal ends it, whatever it waits for.

mod data;
mod error;
mod listen;
pub(crate) mod open;
mod open_files;
mod ports;
mod start;

use std::io;

use futures_util::future::join_all;
use tokio::runtime;

use crate::{config::Config, signals::Signals};
pub use error::RunError;
use start::{Started, start};

/// Runs a broker until a signal or a storage failure ends it.
pub fn run(config: Config) -> Result<(), RunError> {
    current_thread()?.block_on(async {
        let mut signals = Signals::listen().map_err(RunError::Thread)?;
        let started = signals.stops.or_done("start", move || start(config)).await;
        match started.map_err(RunError::Thread)? {
            Ok(started) => serve(started?, signals).await,
            Err(stop) => {
                tracing::info!(
                    signal = stop.name(),
                    "stopped before the broker was ready; the next start continues from here"
                );
                Ok(())
            }
        }
    })
}

async fn serve(started: Started, signals: Signals) -> Result<(), RunError> {
    let Started { data, ports, lifetime } = started;
    let failed = lifetime.failed.clone();
    let threads = data.into_iter().enumerate().map(|(core, data)| data.start(core, failed.clone()));
    let data_ended = join_all(threads.collect::<io::Result<Vec<_>>>().map_err(RunError::Thread)?);
    ports.run(lifetime, data_ended, signals).await
}

fn current_thread() -> Result<runtime::Runtime, RunError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)
}
