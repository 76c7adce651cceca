//! Test code inside a network namespace. It runs on a separate thread with its own runtime, which has entered the
//! namespace, so that every socket of the code belongs to the namespace.

use std::{
    future::Future,
    panic::resume_unwind,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use tokio::runtime;

use crate::netns;

/// Test code that runs inside a namespace.
#[derive(Debug)]
#[must_use = "test code without a wait is cut off when the test ends"]
pub struct Inside<T> {
    thread: JoinHandle<Result<T>>,
}

/// Starts the closure's future on a thread inside the namespace. The runtime has one thread; threads that it starts for
/// blocking calls (name look-ups, files) are inside the namespace as well.
pub fn start<F, W, T>(namespace: &str, work: W) -> Result<Inside<T>>
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = T>,
    T: Send + 'static,
{
    let (name, entrance) = (namespace.to_owned(), netns::open(namespace)?);
    // Named after the test, so that the message of a panic names the test.
    let test = thread::current().name().unwrap_or("test").to_owned();
    let thread = thread::Builder::new().name(test).spawn(move || {
        setns(&entrance, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("cannot enter the network namespace {name}"))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(work()))
    })?;
    Ok(Inside { thread })
}

/// Runs the closure's future inside the namespace and waits for its result. A panic inside is a panic here.
pub fn run<F, W, T>(namespace: &str, work: W) -> Result<T>
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = T>,
    T: Send + 'static,
{
    start(namespace, work)?.wait()
}

impl<T> Inside<T> {
    /// Waits for the result. A panic inside is a panic here.
    pub fn wait(self) -> Result<T> {
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}
