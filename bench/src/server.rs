//! A server under load: a process of its own, on a core of its own.

use std::{
    env,
    fs::{self, File},
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use restante_broker::data_folder::DataFolder;
use restante_tests::{process::Process, usage::cpu_time, wait};
use tempfile::TempDir;

use crate::{
    cores,
    request::{self, Connection},
};

/// A server that does not serve by then will not.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// How long its CPU time is looked at to see whether it is idle.
const LOOK: Duration = Duration::from_millis(300);

/// The broker's default.
const SEGMENT_BYTES: usize = 64 << 20;
/// More than a turn fills, by those that a broker keeps ready.
const SPARES: u32 = 8;

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
            make_spares(&DataFolder::open(&folder.join("data"), Duration::ZERO)?.logs(1)?.current[0])?;
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
        // A broker prepares its disk after it has begun to serve.
        wait::until(&format!("{name} to be idle"), STARTED_WITHIN, || is_idle(process.id()))?;
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

/// Whether it hardly takes any CPU time.
fn is_idle(id: u32) -> Result<()> {
    let before = cpu_time(id)?;
    thread::sleep(LOOK);
    let taken = cpu_time(id)? - before;
    ensure!(taken < LOOK / 100, "it took {taken:?} in {LOOK:?}");
    Ok(())
}

/// Segments as a log has them whose messages were settled: it writes over them again and again. A turn is about that, and
/// not about how a log grows for the first time, when each segment is also written with zeros ahead of its use.
fn make_spares(log: &Path) -> Result<()> {
    fs::create_dir_all(log)?;
    let zeros = vec![0; SEGMENT_BYTES];
    for number in 1..=SPARES {
        let mut segment = File::create(log.join(format!("{number:08}.seg")))?;
        segment.write_all(&zeros)?;
        segment.sync_all()?;
    }
    Ok(())
}

fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &cores::SERVER.to_string()]).arg(program);
    command
}

fn beside_us(program: &str) -> Result<std::path::PathBuf> {
    let path = env::current_exe()?.with_file_name(program);
    ensure!(path.is_file(), "{} is not built: run `make bench`", path.display());
    Ok(path)
}

/// Two ports that nobody has at the moment.
fn free_ports() -> Result<(SocketAddr, SocketAddr)> {
    let (data, admin) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((data.local_addr()?, admin.local_addr()?))
}
