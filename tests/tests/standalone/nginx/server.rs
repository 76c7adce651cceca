//! nginx from Debian's package, with a configuration for each test.

use std::{
    fs,
    net::{SocketAddrV4, TcpListener},
    process::Command,
};

use anyhow::{Context, Result};
use restante_tests::{config::Config, process::Process, requirements::has_program, tools, wait};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::broker::{Broker, DEADLINE};

/// The addresses of the broker and of nginx in the configuration of docs/proxies.md.
const DOCUMENTED_BROKER: &str = "server 127.0.0.1:8080;";
const DOCUMENTED_LISTEN: &str = "listen 80;";

/// Whether nginx is installed. If not, the reason is printed, and it is an error in CI.
pub(super) fn installed() -> Result<bool> {
    has_program("nginx", "-v", "nginx-light")
}

/// The configuration in docs/proxies.md.
pub(super) fn documented_configuration() -> Result<String> {
    let text = fs::read_to_string(tools::workspace().join("docs/proxies.md"))?;
    let block = text.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    block.map(str::to_owned).context("docs/proxies.md shows no configuration of nginx")
}

/// A running nginx, killed when it is dropped.
pub(super) struct Nginx {
    pub(super) address: SocketAddrV4,
    _process: Process,
    _folder: TempDir,
}

impl Nginx {
    /// Starts an nginx that passes every request to the broker, with these additional lines.
    pub(super) async fn passing(broker: &Broker, lines: &str) -> Result<Self> {
        let broker_address = broker.data;
        Self::configured(broker, |listen| {
            format!(
                "server {{ listen {listen}; location / {{ proxy_pass http://{broker_address}; {lines} }} }}"
            )
        })
        .await
    }

    /// Starts an nginx with the configuration of docs/proxies.md.
    pub(super) async fn documented(broker: &Broker) -> Result<Self> {
        let documented = documented_configuration()?;
        for expected in [DOCUMENTED_BROKER, DOCUMENTED_LISTEN] {
            documented
                .contains(expected)
                .then_some(())
                .with_context(|| format!("no {expected:?} in docs/proxies.md"))?;
        }
        let configuration = documented.replace(DOCUMENTED_BROKER, &format!("server {};", broker.data));
        Self::configured(broker, |listen| {
            configuration.replace(DOCUMENTED_LISTEN, &format!("listen {listen};"))
        })
        .await
    }

    /// Starts an nginx with this `http` block, at an address of the broker's IP.
    pub(super) async fn configured(
        broker: &Broker,
        http_block: impl FnOnce(SocketAddrV4) -> String,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // No other program uses the broker's address, so the port stays free.
        let ip = *broker.data.ip();
        let port = TcpListener::bind((ip, 0))?.local_addr()?.port();
        let address = SocketAddrV4::new(ip, port);
        let file = folder.path().join("nginx.conf");
        fs::write(&file, complete_configuration(folder.path().display(), &http_block(address)))?;

        let mut nginx = Command::new("nginx");
        nginx.arg("-e").arg("stderr").arg("-p").arg(folder.path()).arg("-c").arg(&file);
        nginx.env("PATH", Config::from_environment().path());
        let mut process = Process::start("nginx", &nginx, &folder.path().join("log"))?;
        wait::until_async("nginx to listen", DEADLINE, || {
            let running = process.check_running();
            async move {
                running?;
                // Only connect: the upstream may serve only one request.
                TcpStream::connect(address).await.map(drop).map_err(anyhow::Error::from)
            }
        })
        .await?;
        Ok(Self { address, _process: process, _folder: folder })
    }
}

/// Adds the settings that nginx needs to run in its own folder without the account `nginx`. None of them affects
/// proxying. One process, because workers would outlive a killed master.
fn complete_configuration(folder: impl std::fmt::Display, http_block: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|what| format!("{what}_temp_path {folder}/{what};"));
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr info;\nevents {{}}\n\
         http {{\naccess_log off;\n{}\n{http_block}\n}}\n",
        temporary.join("\n")
    )
}
