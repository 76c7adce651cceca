//! Test code inside a network namespace: a thread of its own that has entered it, with a runtime of its own, so that
//! every socket that the code opens is a socket of that namespace.

use std::{
    future::Future,
    panic::resume_unwind,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use tokio::runtime;

use crate::netns;

/// Work that runs inside a namespace.
#[derive(Debug)]
#[must_use = "work that nobody waits for is cut off when the test ends"]
pub struct Inside<T> {
    thread: JoinHandle<Result<T>>,
}

/// Starts the closure's future on a thread inside the namespace. The runtime has one thread; what it starts for
/// blocking calls (name look-ups, files) begins inside the namespace as well.
pub fn start<F, W, T>(namespace: &str, work: W) -> Result<Inside<T>>
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = T>,
    T: Send + 'static,
{
    let (name, entrance) = (namespace.to_owned(), netns::open(namespace)?);
    // The test's name, so that a panic inside says whose it is.
    let test = thread::current().name().unwrap_or("test").to_owned();
    let thread = thread::Builder::new().name(test).spawn(move || {
        setns(&entrance, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("network namespace {name} cannot be entered"))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(work()))
    })?;
    Ok(Inside { thread })
}

/// Runs the closure's future inside the namespace and waits for it. A panic inside is a panic here.
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
