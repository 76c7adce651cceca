//! The program `control-plane` as a child of a test: the cluster lives until this end of its standard input closes, so
//! that it ends with the test, however that ends.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{cluster::info::ClusterInfo, wait};

/// It takes 2 s on two idle cores; a component that does not end on SIGTERM costs a deadline more.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// A cluster that is ready. Dropping it ends it.
#[derive(Debug)]
pub struct ClusterProcess {
    child: Child,
    /// How it is reached.
    pub info: ClusterInfo,
}

impl ClusterProcess {
    /// Starts the program (`env!("CARGO_BIN_EXE_control-plane")`) and waits until its cluster is ready. What it says
    /// goes to this process's standard error: the first time it builds Kubernetes, and tells how far it is.
    pub fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the standard output was piped")?).read_line(&mut line)?;
        ensure!(!line.is_empty(), "control-plane did not come up: what it said is above");
        let info = serde_json::from_str(&line).with_context(|| format!("no cluster in {line:?}"))?;
        Ok(Self { child, info })
    }

    /// Ends the cluster and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = wait::until("the end of the cluster", STOPPED_WITHIN, || {
            self.child.try_wait().ok().flatten().ok_or("it runs")
        })?;
        ensure!(status.success(), "control-plane ended with {status}: what it said is above");
        Ok(())
    }

    /// Ends the program without a chance to end its cluster.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for ClusterProcess {
    fn drop(&mut self) {
        // Nobody is left to tell; the next run clears what stays.
        let _ = self.stop();
    }
}
