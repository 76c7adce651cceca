//! A program as the first process of a container. The kernel has no default action on SIGTERM for it: a program without
//! a handler ignores the signal, and the container is killed much later.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use restante_tests::{command::command, process::Process, wait};

use crate::broker::DEADLINE;

/// Limit for an idle program to exit after SIGTERM. Kubernetes allows 30 s. It usually takes moments, but longer on a
/// machine that is also building.
const MOMENTS: Duration = Duration::from_secs(10);

/// The program in a process namespace of its own, and the process that started it there.
pub(crate) struct FirstProcess {
    parent: Process,
    id: Pid,
}

impl FirstProcess {
    /// Starts a command as the first process of a process namespace. Needs root.
    pub(crate) fn start(program: &Command, log: &Path) -> Result<Self> {
        let mut unshare = command("unshare", ["--pid", "--fork", "--kill-child", "--"]);
        unshare.arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            unshare.env(name, value.context("no variable is removed")?);
        }
        let name = program.get_program().to_string_lossy().into_owned();
        let parent = Process::start(&name, &unshare, log)?;
        let children = format!("/proc/{0}/task/{0}/children", parent.id());
        let id = wait::until(&format!("{name} to be there"), DEADLINE, || {
            let id = fs::read_to_string(&children)?.trim().parse().context("it has no child yet")?;
            let begun = fs::read(format!("/proc/{id}/cmdline"))?;
            // Until `exec`, the child is a copy of unshare.
            ensure!(begun.starts_with(program.get_program().as_bytes()), "the program has not started yet");
            Ok::<_, anyhow::Error>(Pid::from_raw(id))
        })?;
        Ok(Self { parent, id })
    }

    /// Waits until the program has a handler for SIGTERM (`SigCgt` in proc(5)).
    pub(crate) fn until_it_handles_sigterm(&mut self) -> Result<()> {
        let path = format!("/proc/{}/status", self.id);
        wait::until("the program to handle SIGTERM", DEADLINE, || {
            let status = fs::read_to_string(&path)?;
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).context("no SigCgt")?;
            let caught = u64::from_str_radix(caught.trim(), 16)?;
            ensure!(caught >> (Signal::SIGTERM as u32 - 1) & 1 == 1, "SIGTERM is not caught");
            Ok::<_, anyhow::Error>(())
        })
        .with_context(|| self.parent.log_text())
    }

    /// Waits until the program has a file open whose path ends with `end`.
    pub(crate) fn until_it_has_open(&mut self, end: &str) -> Result<()> {
        let folder = format!("/proc/{}/fd", self.id);
        wait::until(&format!("the program to read {end}"), DEADLINE, || {
            for entry in fs::read_dir(&folder)? {
                // The file may have been closed since.
                let open = fs::read_link(entry?.path()).unwrap_or_default();
                if open.as_os_str().as_bytes().ends_with(end.as_bytes()) {
                    return Ok(());
                }
            }
            Err(anyhow::anyhow!("no such file is open"))
        })
        .with_context(|| self.parent.log_text())
    }

    /// Sends SIGTERM, and waits for the exit.
    pub(crate) fn terminate(&mut self) -> Result<ExitStatus> {
        kill(self.id, Signal::SIGTERM)?;
        self.parent
            .wait(MOMENTS)
            .with_context(|| format!("it still runs; its log is\n{}", self.parent.log_text()))
    }

    pub(crate) fn log_text(&self) -> String {
        self.parent.log_text()
    }
}
