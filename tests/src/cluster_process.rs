//! The program `control-plane` as a child of a test. The cluster runs until the child's standard input closes, so it
//! stops with the test even if the test is killed.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{cluster::info::ClusterInfo, wait};

/// Time limit. On two idle cores it takes 2 s; a component that ignores SIGTERM adds its deadline.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// A running cluster. Dropping it stops the cluster.
#[derive(Debug)]
pub struct ClusterProcess {
    child: Child,
    /// Information to use the cluster.
    pub info: ClusterInfo,
}

impl ClusterProcess {
    /// Starts the program (`env!("CARGO_BIN_EXE_control-plane")`) and waits until its cluster is ready. The program
    /// writes to this process's standard error. The first run builds Kubernetes, and prints its progress there.
    pub fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the standard output was piped")?).read_line(&mut line)?;
        ensure!(!line.is_empty(), "control-plane failed to start; its output is above");
        let info = serde_json::from_str(&line)
            .with_context(|| format!("cannot parse the cluster information {line:?}"))?;
        Ok(Self { child, info })
    }

    /// Stops the cluster and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = wait::until("the end of the cluster", STOPPED_WITHIN, || {
            self.child.try_wait().ok().flatten().ok_or("still running")
        })?;
        ensure!(status.success(), "control-plane ended with {status}; its output is above");
        Ok(())
    }

    /// Kills the program, so that it cannot stop its cluster.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for ClusterProcess {
    fn drop(&mut self) {
        // An error cannot be reported here; the next run removes the rest.
        let _ = self.stop();
    }
}
