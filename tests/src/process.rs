//! Child processes: their output in a file, their end by their own id.

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

/// How long a child that is dropped has from SIGTERM to SIGKILL. A broker drains for up to 20 s by default, and the
/// tests wait for that on purpose where they want it; whoever drops a child has no more use for its manners.
const MANNERS: Duration = Duration::from_secs(5);

/// How long the kernel may take to end a process after SIGKILL: one that is writing to a slow disk ends after that.
const KILLED_WITHIN: Duration = Duration::from_secs(30);

/// How much of a log an error shows.
const TAIL_LINES: usize = 25;

/// A running child. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command with its output appended to `log`. The child dies with the thread that started it, so that
    /// it cannot outlive a test that is killed, and is in a process group of its own, so that Ctrl-C in a terminal
    /// does not reach it before the harness, which knows the order in which things end.
    pub fn start(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("the log {} of {name} cannot be written", log.display()))?;
        let child = dying_with_its_parent(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} ({command:?}) could not be started"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it was started under this name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has written so far.
    pub fn log_text(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// An error with the end of its log if it runs no more.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(anyhow!("{} ended with {status}; its log ends with:\n{}", self.name, self.log_tail()))
            }
        }
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, within, || self.status())
    }

    /// The same, while other tasks of this thread go on.
    pub async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until_async(&what, within, || future::ready(self.status())).await
    }

    fn status(&mut self) -> Result<ExitStatus> {
        self.child.try_wait()?.context("it runs")
    }

    /// Sends it a signal. One that has ended already gets none: its id may be another's by now.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            let id = i32::try_from(self.child.id()).context("Linux process ids fit 31 bits")?;
            kill(Pid::from_raw(id), signal)?;
        }
        Ok(())
    }

    /// SIGTERM, and SIGKILL if that has not ended it in time.
    pub fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        match self.wait(within) {
            Ok(status) => Ok(status),
            Err(_) => self.kill(),
        }
    }

    /// SIGKILL: the end without a chance to say anything.
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
        // Nobody is left to tell; what stays is found and cleared by the next run.
        let _ = self.terminate(MANNERS);
    }
}

/// The same command by way of `setpriv` (util-linux), which asks the kernel for SIGKILL when the parent ends and then
/// becomes the command, under the same id.
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

    fn says(process: &Process, word: &str) {
        wait::until("its word", Duration::from_secs(10), || {
            let text = process.log_text();
            if text.contains(word) { Ok(()) } else { Err(text) }
        })
        .unwrap();
    }

    #[test]
    fn one_that_ends_on_sigterm_may_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut process =
            shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done", folder.path());
        says(&process, "up");
        assert_eq!(process.terminate(Duration::from_secs(10)).unwrap().code(), Some(7));
        assert!(process.check_running().unwrap_err().to_string().contains("bye"));
    }

    #[test]
    fn one_that_ignores_sigterm_is_killed_after_its_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("trap '' TERM; echo up; while :; do sleep 0.01; done", folder.path());
        says(&process, "up");
        assert_eq!(process.terminate(Duration::from_millis(100)).unwrap().signal(), Some(9));
    }

    #[test]
    fn one_whose_thread_is_gone_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let starts = thread::spawn(move || {
            let process = shell("echo up; while :; do sleep 0.01; done", &path);
            says(&process, "up");
            process
        });
        let mut process = starts.join().unwrap();
        assert_eq!(process.wait(Duration::from_secs(10)).unwrap().signal(), Some(9));
    }
}
