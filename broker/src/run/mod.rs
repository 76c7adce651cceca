//! From flags to a serving broker, and from a signal to its end.
//!
//! A thread for each core: its channels, their log and its share of the data port's connections; and one more for the admin
//! and control ports and the signals, so that a slow disk answers probes. That one listens for signals before anything else, and the
//! start has a thread of its own: whatever it waits for, a signal ends it.

mod data;
mod error;
mod listen;
pub(crate) mod open;
mod ports;
mod start;

use std::io;

use futures_util::future::join_all;
use tokio::runtime;

use crate::{config::Config, signals::Signals};
pub use error::RunError;
pub(crate) use ports::PLACES;
use start::{Started, start};

/// Runs a broker until a signal or a failed log ends it.
pub fn run(config: Config) -> Result<(), RunError> {
    current_thread()?.block_on(async {
        let mut signals = Signals::listen().map_err(RunError::Thread)?;
        let started = signals.stops.or_done("start", move || start(config)).await;
        match started.map_err(RunError::Thread)? {
            Ok(started) => serve(started?, signals).await,
            Err(stop) => {
                tracing::info!(
                    signal = stop.name(),
                    "told to stop before the broker serves: the start ends where it is"
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
