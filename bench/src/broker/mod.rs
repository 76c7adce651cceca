//! Our broker, as a process under load.

pub(crate) mod fill;
pub(crate) mod http;
pub(crate) mod operator;
pub(crate) mod work;

use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use restante_broker::data_folder::DataFolder;

use crate::{
    server::{Server, free_ports, pinned, sibling_program},
    stream::Stream,
};

/// The broker's default.
const SEGMENT_BYTES: usize = 64 << 20;
/// More than a turn of single pushes fills, by those that a broker keeps ready.
pub(crate) const SPARES: u32 = 8;

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

/// A broker under load. It ends with this value.
pub(crate) struct Broker {
    pub(crate) server: Server,
    admin: SocketAddr,
    /// Where it is told its channels, if that is not by the manifest of the one.
    control: Option<SocketAddr>,
}

/// How it is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Segments to write over.
    pub(crate) spares: u32,
    /// Cores that take and give messages; one if it is not said.
    pub(crate) cores: Option<u32>,
    /// Flags besides those that every one of them has.
    pub(crate) flags: Vec<String>,
    /// Whether it is told its channels by an operator, and not by the manifest of one.
    pub(crate) operated: bool,
}

impl Broker {
    /// One on an empty disk, that ends with it.
    pub(crate) fn start(within: &Path, options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir_in(within)?;
        let mut broker = Self::start_in(folder.path(), options)?;
        broker.server.wait_until_idle()?;
        broker.server.keep(folder);
        Ok(broker)
    }

    /// One whose folder stays: it serves as soon as this returns.
    pub(crate) fn start_in(folder: &Path, options: &Options) -> Result<Self> {
        if options.spares > 0 {
            let logs = DataFolder::open(&data(folder), Duration::ZERO)?.logs(options.cores.unwrap_or(1))?;
            logs.current.iter().try_for_each(|log| make_spares(log, options.spares))?;
        }
        let [listen, admin, control] = free_ports()?;
        let mut command = pinned(&program()?);
        command.arg("--listen").arg(listen.to_string()).arg("--admin-listen").arg(admin.to_string());
        command.arg("--data-dir").arg(data(folder)).args(&options.flags);
        command.args(options.cores.map(|cores| format!("--cores={cores}")));
        if options.operated {
            let token = folder.join("token");
            fs::write(&token, operator::TOKEN)?;
            command.arg("--control-listen").arg(control.to_string()).arg("--control-token-file").arg(token);
        } else {
            let manifest = folder.join("channel.yaml");
            fs::write(&manifest, CHANNEL)?;
            command.arg("--manifests").arg(manifest);
        }
        let server = Server::start("restante-broker", &command, folder, listen)?;
        Ok(Self { server, admin, control: options.operated.then_some(control) })
    }

    /// The value of a series on its `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> Result<f64> {
        let mut stream = Stream::open(self.admin).await?;
        stream.send(&http::get("/metrics")).await?;
        let text = String::from_utf8(http::answer(&mut stream, 200).await?.body)?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("{series} is not among the broker's metrics"))?.parse()?)
    }
}

/// Where its messages are.
pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// The broker that was built with us.
pub(crate) fn program() -> Result<PathBuf> {
    sibling_program("restante-broker")
}

/// Segments as a log has them whose messages were settled: it writes over them again and again. A turn is about that, and
/// not about how a log grows for the first time, when each segment is also written with zeros ahead of its use.
fn make_spares(log: &Path, number: u32) -> Result<()> {
    fs::create_dir_all(log)?;
    let zeros = vec![0; SEGMENT_BYTES];
    for number in 1..=number {
        let mut segment = File::create(log.join(format!("{number:08}.seg")))?;
        segment.write_all(&zeros)?;
        segment.sync_all()?;
    }
    Ok(())
}
