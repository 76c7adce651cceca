//! Child processes, with their output in a file.

use std::{
    fs::{self, File},
    future,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::wait;

/// Time for a dropped child from SIGTERM to SIGKILL. A broker drains for up to 20 s by default, and a test that needs
/// the drain waits for it explicitly.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Time limit for the end of a process after SIGKILL. A process that is writing to a slow disk ends only after the
/// write.
const KILLED_WITHIN: Duration = Duration::from_secs(30);

/// Number of log lines in an error.
const TAIL_LINES: usize = 25;

/// A running child. Dropping it stops the process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command with its output appended to `log`. The child dies with the thread that started it, so that it
    /// cannot outlive a killed test. It is in its own process group: Ctrl-C in a terminal signals only the harness,
    /// which stops its processes in the right order.
    pub fn start(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write the log {} of {name}", log.display()))?;
        let child = dying_with_its_parent(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name} ({command:?})"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process was started under this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The output so far.
    pub fn log_text(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Returns an error with the end of the log if the process has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(anyhow!("{} ended with {status}; its log ends with:\n{}", self.name, self.log_tail()))
            }
        }
    }

    /// Waits until the process ends by itself.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, within, || self.status())
    }

    /// Like [`wait`](Self::wait), while other tasks of this thread continue.
    pub async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until_async(&what, within, || future::ready(self.status())).await
    }

    fn status(&mut self) -> Result<ExitStatus> {
        self.child.try_wait()?.context("still running")
    }

    /// Sends a signal, unless the process has ended: its id may belong to another process then.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            let id = i32::try_from(self.child.id()).context("a Linux process id has at most 31 bits")?;
            kill(Pid::from_raw(id), signal)?;
        }
        Ok(())
    }

    /// Sends SIGTERM, and SIGKILL if the process does not end in time.
    pub fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        match self.wait(within) {
            Ok(status) => Ok(status),
            Err(_) => self.kill(),
        }
    }

    /// Sends SIGKILL, so that the process ends without a shutdown.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait(KILLED_WITHIN)
    }

    fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error cannot be reported here; the next run removes the rest.
        let _ = self.terminate(STOP_WITHIN);
    }
}

/// Wraps the command in `setpriv` (util-linux), which makes the kernel send SIGKILL when the parent ends, and then
/// executes the command under the same process id.
fn dying_with_its_parent(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, thread};

    use super::*;
    use crate::command::command;

    fn shell(script: &str, folder: &Path) -> Process {
        Process::start("a shell", &command("sh", ["-c", script]), &folder.join("log")).unwrap()
    }

    fn wait_for_output(process: &Process, word: &str) {
        wait::until("the output", Duration::from_secs(10), || {
            let text = process.log_text();
            if text.contains(word) { Ok(()) } else { Err(text) }
        })
        .unwrap();
    }

    #[test]
    fn the_log_has_the_last_words_of_a_process_that_ends_on_sigterm() {
        let folder = tempfile::tempdir().unwrap();
        let mut process =
            shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done", folder.path());
        wait_for_output(&process, "up");
        assert_eq!(process.terminate(Duration::from_secs(10)).unwrap().code(), Some(7));
        assert!(process.check_running().unwrap_err().to_string().contains("bye"));
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed_after_its_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("trap '' TERM; echo up; while :; do sleep 0.01; done", folder.path());
        wait_for_output(&process, "up");
        assert_eq!(process.terminate(Duration::from_millis(100)).unwrap().signal(), Some(9));
    }

    #[test]
    fn a_process_dies_with_the_thread_that_started_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let starts = thread::spawn(move || {
            let process = shell("echo up; while :; do sleep 0.01; done", &path);
            wait_for_output(&process, "up");
            process
        });
        let mut process = starts.join().unwrap();
        assert_eq!(process.wait(Duration::from_secs(10)).unwrap().signal(), Some(9));
    }
}
