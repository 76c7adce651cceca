//! A server under load: a process of its own, on a core of its own.

use std::{
    env,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use restante_tests::{process::Process, usage::cpu_time, wait};
use tempfile::TempDir;

use crate::cores;

/// A server that does not serve by then will not.
const STARTED_WITHIN: Duration = Duration::from_secs(120);
/// How long its CPU time is looked at to see whether it is idle.
const IDLE_WINDOW: Duration = Duration::from_millis(300);

/// A server. It ends with this value, and its data with it if they are its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Process,
    /// Others that it needs, which end after it.
    helpers: Vec<Process>,
    folder: Option<TempDir>,
}

impl Server {
    /// Starts it, with its output in the folder, and waits until it listens at this address.
    pub(crate) fn start(name: &str, command: &Command, folder: &Path, address: SocketAddr) -> Result<Self> {
        let mut process = Process::start(name, command, &folder.join("log"))?;
        wait::until(&format!("{name} to listen"), STARTED_WITHIN, || {
            process.check_running()?;
            TcpStream::connect(address).map(drop).map_err(anyhow::Error::from)
        })?;
        Ok(Self { address, process, helpers: Vec::new(), folder: None })
    }

    /// Gives it the folder of its data, which goes with it.
    pub(crate) fn keep(&mut self, folder: TempDir) {
        self.folder = Some(folder);
    }

    /// Gives it a process that it needs, which ends after it.
    pub(crate) fn helped_by(&mut self, helper: Process) {
        self.helpers.push(helper);
    }

    /// Servers prepare their disk, and load their code, after they have begun to serve.
    pub(crate) fn wait_until_idle(&mut self) -> Result<()> {
        let id = self.id();
        wait::until("the server to be idle", STARTED_WITHIN, || is_idle(id))
    }

    /// Ends it at once, without a chance to tidy up.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Whether it hardly takes any CPU time.
fn is_idle(id: u32) -> Result<()> {
    let before = cpu_time(id)?;
    thread::sleep(IDLE_WINDOW);
    let taken = cpu_time(id)? - before;
    ensure!(taken < IDLE_WINDOW / 100, "it took {taken:?} in {IDLE_WINDOW:?}");
    Ok(())
}

/// A command on the server's core.
pub(crate) fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &cores::SERVER.to_string()]).arg(program);
    command
}

/// A program that was built with us.
pub(crate) fn sibling_program(program: &str) -> Result<PathBuf> {
    let path = env::current_exe()?.with_file_name(program);
    ensure!(path.is_file(), "{} is not built: run `make bench`", path.display());
    Ok(path)
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> Result<SocketAddr> {
    let [port] = free_ports()?;
    Ok(port)
}

/// Some of them, each another.
pub(crate) fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.as_ref().map_err(|error| anyhow!("no port can be had: {error}"))?.local_addr()?;
    }
    Ok(ports)
}
