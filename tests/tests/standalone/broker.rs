//! A broker for one test: the real binary, with its own data folder and its own address, which it keeps over restarts.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus},
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::Signal;
use restante_client::{ChannelStats, Client, ClientOptions, ProxyChoice, RetryOptions};
use restante_tests::{process::Process, wait};
use restante_wire::ChannelConfig;
use tempfile::TempDir;

use crate::programs;

/// Limit of every wait of a test: long compared with what the tests wait for, even on a machine that is also building.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The credential of the control port.
const TOKEN: &str = "a-credential-that-only-this-test-has";

/// Delays between retries of a client: it notices a restarted broker within a tenth of a second.
const RETRY: RetryOptions =
    RetryOptions { delay_min: Duration::from_millis(5), delay_max: Duration::from_millis(50) };

/// A channel `acme/<name>` with these further fields in its spec.
pub(crate) fn channel(name: &str, fields: &str) -> String {
    format!(
        "---\napiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: {name}, namespace: acme}}\n\
         spec:\n  access: {{anonymous: true}}\n  {fields}\n"
    )
}

/// A broker that is killed when it is dropped.
pub(crate) struct Broker {
    folder: TempDir,
    flags: Vec<String>,
    cores: Option<u32>,
    pub(crate) data: SocketAddrV4,
    pub(crate) admin: SocketAddrV4,
    control: SocketAddrV4,
    process: Option<Process>,
    http: reqwest::Client,
}

impl Broker {
    /// Starts a broker with these manifests, and waits until it serves.
    pub(crate) async fn serving(manifests: &str) -> Result<Self> {
        let mut broker = Self::prepared(manifests, &[])?;
        broker.start()?;
        broker.ready().await?;
        Ok(broker)
    }

    /// A broker with these manifests that is not started yet.
    pub(crate) fn prepared(manifests: &str, flags: &[&str]) -> Result<Self> {
        let broker = Self::unprogrammed(flags)?;
        fs::write(broker.manifests(), manifests)?;
        Ok(broker)
    }

    /// A broker without manifests that is not started yet; [`Self::sync`] gives it its channels.
    pub(crate) fn unprogrammed(flags: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [data, admin, control] = free_ports()?;
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let broker = Self { folder, flags, cores: None, data, admin, control, process: None, http: http()? };
        fs::write(broker.token_file(), TOKEN)?;
        Ok(broker)
    }

    /// Sends the set of channels, as an operator does.
    pub(crate) async fn sync(&self, channels: &[ChannelConfig]) -> Result<()> {
        let lines: Result<Vec<_>, _> = channels.iter().map(serde_json::to_string).collect();
        let answer = self.control("sync", lines?.join("\n")).send().await?;
        ensure!(answer.status().is_success(), "the channels were refused: {}", answer.text().await?);
        Ok(())
    }

    /// A request to the control API.
    pub(crate) fn control(&self, path: &str, body: String) -> reqwest::RequestBuilder {
        let url = format!("{}/control/v1/{path}", self.control_url());
        self.http.post(url).bearer_auth(TOKEN).body(body)
    }

    /// Sets `--cores` for the next start.
    pub(crate) fn set_cores(&mut self, cores: u32) {
        self.cores = Some(cores);
    }

    /// Starts the broker without waiting until it serves. The process is killed when the calling thread ends.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.process = Some(Process::start("restante-broker", &self.command()?, &self.folder().join("log"))?);
        Ok(())
    }

    pub(crate) fn command(&self) -> Result<Command> {
        let mut broker = Command::new(programs::folder()?.join("restante-broker"));
        broker.arg("--listen").arg(self.data.to_string()).arg("--admin-listen").arg(self.admin.to_string());
        broker.arg("--data-dir").arg(self.folder().join("data"));
        broker.arg("--control-listen").arg(self.control.to_string());
        broker.arg("--control-token-file").arg(self.token_file());
        if self.manifests().exists() {
            broker.arg("--manifests").arg(self.manifests());
        }
        broker.args(&self.flags).args(self.cores.map(|cores| format!("--cores={cores}")));
        Ok(broker)
    }

    /// Waits until the broker serves.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let url = format!("http://{}/readyz", self.admin);
        let Self { process, http, .. } = self;
        let process = process.as_mut().context("the broker was not started")?;
        wait::until_async("the broker to be ready", DEADLINE, || {
            let running = process.check_running();
            let request = http.get(&url);
            async move {
                running?;
                request.send().await?.error_for_status().map(drop).map_err(anyhow::Error::from)
            }
        })
        .await
    }

    /// Sends SIGTERM, and starts a successor on the same data folder, at other addresses; it waits for the folder's
    /// lock. This value becomes the successor; its predecessor is returned.
    pub(crate) fn replace(&mut self) -> Result<Process> {
        let mut predecessor = self.process.take().context("the broker does not run")?;
        predecessor.signal(Signal::SIGTERM)?;
        [self.data, self.admin, self.control] = free_ports()?;
        self.start()?;
        Ok(predecessor)
    }

    /// Kills the process, as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<ExitStatus> {
        self.process.take().context("the broker does not run")?.kill()
    }

    pub(crate) fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("the broker does not run")?.id())
    }

    /// A temporary folder, removed when the broker is dropped.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with the credential of the control port.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder().join("token")
    }

    fn manifests(&self) -> PathBuf {
        self.folder().join("channels.yaml")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.data)
    }

    pub(crate) fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// A client of this broker that retries quickly.
    pub(crate) fn client(&self) -> Result<Client> {
        let mut options = ClientOptions::new(self.url());
        options.proxy = ProxyChoice::Direct;
        options.retry = RETRY;
        Ok(Client::new(options)?)
    }

    /// The answer to `GET /v1/channels/acme/<name>`.
    pub(crate) async fn stats(&self, name: &str) -> Result<ChannelStats> {
        Ok(self.client()?.channel("acme", name, DEADLINE).await?)
    }

    /// Sends a plain POST to the data port.
    pub(crate) async fn post(&self, path: &str, body: String) -> Result<reqwest::Response> {
        let request = self.http.post(format!("{}{path}", self.url()));
        Ok(request.header("content-type", "application/json").body(body).send().await?)
    }

    /// Sends a plain request without a body to the data port.
    pub(crate) async fn request(&self, method: reqwest::Method, path: &str) -> Result<reqwest::Response> {
        Ok(self.http.request(method, format!("{}{path}", self.url())).send().await?)
    }

    /// The value of a series on `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> Result<f64> {
        let text = self.http.get(format!("http://{}/metrics", self.admin)).send().await?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("{series} is not in\n{text}"))?.parse()?)
    }

    /// Waits until a series has this value.
    pub(crate) async fn until_metric(&self, series: &str, wanted: f64) -> Result<()> {
        wait::until_async(series, DEADLINE, || async {
            let value = self.metric(series).await?;
            ensure!(value == wanted, "{series} is {value}, not {wanted}");
            Ok::<(), anyhow::Error>(())
        })
        .await
    }

    /// Waits until a channel has no messages in any state.
    pub(crate) async fn until_empty(&self, name: &str) -> Result<()> {
        wait::until_async("the channel to be empty", DEADLINE, || async {
            let stats = self.stats(name).await?;
            if stats.messages() == 0 { Ok(()) } else { Err(anyhow!("{stats:?}")) }
        })
        .await
    }
}

/// A client for plain requests, without the proxies of the machine.
pub(crate) fn http() -> Result<reqwest::Client> {
    // Built with the whole workspace, reqwest has TLS and needs a provider, although these tests do not use TLS. The
    // call fails if another test has installed the provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().timeout(DEADLINE).build()?)
}

/// Three ports on a loopback address that only this broker uses. So a restarted broker gets its ports again, although
/// other programs and tests bind and connect meanwhile. All of 127.0.0.0/8 is local on Linux.
fn free_ports() -> Result<[SocketAddrV4; 3]> {
    static BROKERS: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = process::id().to_be_bytes();
    // 127.64 to 127.191: neither 127.0.0.1, which other programs use, nor the broadcast address.
    let address = Ipv4Addr::new(127, 64 + BROKERS.fetch_add(1, Relaxed) % 128, high, low);
    let listen = || TcpListener::bind((address, 0));
    let listeners = [listen()?, listen()?, listen()?];
    let mut ports = [SocketAddrV4::new(address, 0); 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        port.set_port(listener.local_addr()?.port());
    }
    Ok(ports)
}
