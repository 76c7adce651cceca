//! A server under load: a process of its own, on a core of its own.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use restante_tests::{process::Process, wait};
use tempfile::TempDir;

use crate::{
    cores,
    request::{self, Connection},
};

/// A server that does not serve by then will not.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// One channel that never fills up within a turn, and whose receivers may wait for as long as any.
const CHANNEL: &str = "
apiVersion: restante.dev/v1alpha1
kind: MessageChannel
metadata: {name: bench, namespace: acme}
spec:
  access: {anonymous: true}
  limits: {messages: 100000000, bytes: 100Gi}
  delivery: {waitSeconds: 300, maxWaitSeconds: 300}
";
/// The address of that channel.
pub(crate) const ADDRESS: &str = "acme/bench";

/// A server. It ends with this value, and its data with it.
pub(crate) struct Server {
    pub(crate) data: SocketAddr,
    admin: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Server {
    /// The broker, on an empty disk.
    pub(crate) fn broker(within: &Path) -> Result<Self> {
        let program = beside_us("restante-broker")?;
        Self::start("restante-broker", within, |data, admin, folder| {
            let manifest = folder.join("channel.yaml");
            fs::write(&manifest, CHANNEL)?;
            let mut broker = pinned(&program);
            broker.arg("--listen").arg(data.to_string()).arg("--admin-listen").arg(admin.to_string());
            broker.arg("--data-dir").arg(folder.join("data")).arg("--manifests").arg(manifest);
            Ok(broker)
        })
    }

    /// What takes messages and does nothing with them.
    pub(crate) fn no_op(within: &Path) -> Result<Self> {
        let program = env::current_exe()?;
        Self::start("no-op", within, |data, _, _| {
            let mut no_op = pinned(&program);
            no_op.arg("no-op").arg("--listen").arg(data.to_string());
            Ok(no_op)
        })
    }

    fn start(
        name: &str,
        within: &Path,
        command: impl FnOnce(SocketAddr, SocketAddr, &Path) -> Result<Command>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir_in(within)?;
        let (data, admin) = free_ports()?;
        let command = command(data, admin, folder.path())?;
        let mut process = Process::start(name, &command, &folder.path().join("log"))?;
        wait::until(&format!("{name} to listen"), STARTED_WITHIN, || {
            process.check_running()?;
            TcpStream::connect(data).map(drop).map_err(anyhow::Error::from)
        })?;
        Ok(Self { data, admin, process, _folder: folder })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The value of a series on the broker's `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> Result<f64> {
        let mut connection = Connection::open(self.admin).await?;
        connection.send(&request::get("/metrics")).await?;
        let text = String::from_utf8_lossy(connection.answer(200).await?).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("{series} is not among the broker's metrics"))?.parse()?)
    }
}

fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &cores::SERVER.to_string()]).arg(program);
    command
}

fn beside_us(program: &str) -> Result<std::path::PathBuf> {
    let path = env::current_exe()?.with_file_name(program);
    anyhow::ensure!(path.is_file(), "{} is not built: run `make bench`", path.display());
    Ok(path)
}

/// Two ports that nobody has at the moment.
fn free_ports() -> Result<(SocketAddr, SocketAddr)> {
    let (data, admin) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((data.local_addr()?, admin.local_addr()?))
}
