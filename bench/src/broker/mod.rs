//! The Restante broker as a process under load.

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

/// The broker's default segment size.
const SEGMENT_BYTES: usize = 64 << 20;
/// Spare segments, enough for a turn of single pushes together with the ones that a broker allocates ahead.
pub(crate) const SPARES: u32 = 8;

/// A channel that never becomes full within a turn, and whose receivers may wait for the maximum time.
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

/// A broker under load. Dropping it stops the broker.
pub(crate) struct Broker {
    pub(crate) server: Server,
    admin: SocketAddr,
    /// The control port, if the channels come from there and not from a manifest.
    control: Option<SocketAddr>,
}

/// Start options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Another broker's program than the one of this build.
    pub(crate) program: Option<PathBuf>,
    /// Number of segments to reuse.
    pub(crate) spares: u32,
    /// Worker threads; one by default.
    pub(crate) cores: Option<u32>,
    /// Additional flags.
    pub(crate) flags: Vec<String>,
    /// Whether the channels come through the control port, as from an operator, and not from a manifest.
    pub(crate) operated: bool,
}

impl Broker {
    /// Starts a broker with an empty data folder, which is deleted with it.
    pub(crate) fn start(within: &Path, options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir_in(within)?;
        let mut broker = Self::start_in(folder.path(), options)?;
        broker.server.wait_until_idle()?;
        broker.server.keep(folder);
        Ok(broker)
    }

    /// Starts a broker on an existing folder, which is kept, and returns when it serves.
    pub(crate) fn start_in(folder: &Path, options: &Options) -> Result<Self> {
        if options.spares > 0 {
            let logs = DataFolder::open(&data(folder), Duration::ZERO)?.logs(options.cores.unwrap_or(1))?;
            logs.current.iter().try_for_each(|log| make_spares(log, options.spares))?;
        }
        let [listen, admin, control] = free_ports()?;
        let mut command = pinned(&options.program.clone().map_or_else(program, Ok)?);
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

    /// The value of a series in the broker's `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> Result<f64> {
        let mut stream = Stream::open(self.admin).await?;
        stream.send(&http::get("/metrics")).await?;
        let text = String::from_utf8(http::answer(&mut stream, 200).await?.body)?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("{series} is not among the broker's metrics"))?.parse()?)
    }
}

/// The data folder within a broker's folder.
pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// The broker's program, from the same build.
pub(crate) fn program() -> Result<PathBuf> {
    sibling_program("restante-broker")
}

/// Makes segments like the ones that a log reuses after their messages were settled. A turn measures this steady state,
/// and not a growing log, which also fills each new segment with zeros ahead of its use.
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
