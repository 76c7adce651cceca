//! A server under load: a separate process on a separate core.

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

/// A server that does not listen within this time has failed.
const STARTED_WITHIN: Duration = Duration::from_secs(120);
/// Window in which CPU time is measured to detect an idle server.
const IDLE_WINDOW: Duration = Duration::from_millis(300);

/// A running server. Dropping it stops the server, and deletes its data folder if it owns one.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Process,
    /// Processes that the server needs, stopped after it.
    helpers: Vec<Process>,
    folder: Option<TempDir>,
}

impl Server {
    /// Starts the server, with its output in the folder, and waits until it listens on this address.
    pub(crate) fn start(name: &str, command: &Command, folder: &Path, address: SocketAddr) -> Result<Self> {
        let mut process = Process::start(name, command, &folder.join("log"))?;
        wait::until(&format!("{name} to listen"), STARTED_WITHIN, || {
            process.check_running()?;
            TcpStream::connect(address).map(drop).map_err(anyhow::Error::from)
        })?;
        Ok(Self { address, process, helpers: Vec::new(), folder: None })
    }

    /// Makes the server the owner of its data folder, which is deleted with it.
    pub(crate) fn keep(&mut self, folder: TempDir) {
        self.folder = Some(folder);
    }

    /// Adds a process that the server needs, stopped after it.
    pub(crate) fn helped_by(&mut self, helper: Process) {
        self.helpers.push(helper);
    }

    /// Waits until the server is idle: servers prepare their disk and load code after they have begun to listen.
    pub(crate) fn wait_until_idle(&mut self) -> Result<()> {
        let id = self.id();
        wait::until("the server to be idle", STARTED_WITHIN, || is_idle(id))
    }

    /// Kills the server at once, without a shutdown.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Checks that the process uses hardly any CPU time.
fn is_idle(id: u32) -> Result<()> {
    let before = cpu_time(id)?;
    thread::sleep(IDLE_WINDOW);
    // The time of a thread that ends is not counted any more.
    let taken = cpu_time(id)?.saturating_sub(before);
    ensure!(taken < IDLE_WINDOW / 100, "the process used {taken:?} of CPU time within {IDLE_WINDOW:?}");
    Ok(())
}

/// A command pinned to the server's core.
pub(crate) fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &cores::SERVER.to_string()]).arg(program);
    command
}

/// Path of a program from the same build as this one.
pub(crate) fn sibling_program(program: &str) -> Result<PathBuf> {
    let path = env::current_exe()?.with_file_name(program);
    ensure!(path.is_file(), "{} is not built; run `make bench`", path.display());
    Ok(path)
}

/// An unused port.
pub(crate) fn free_port() -> Result<SocketAddr> {
    let [port] = free_ports()?;
    Ok(port)
}

/// Several different unused ports.
pub(crate) fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener
            .as_ref()
            .map_err(|error| anyhow!("cannot find an unused port: {error}"))?
            .local_addr()?;
    }
    Ok(ports)
}
