//! The nginx of Debian's package, with a configuration of the test's own.

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

/// The broker and the port of nginx in the configuration that docs/proxies.md shows.
const DOCUMENTED_BROKER: &str = "server 127.0.0.1:8080;";
const DOCUMENTED_LISTEN: &str = "listen 80;";

/// Whether there is an nginx. Without one, the test says that it is skipped; under CI it must be there.
pub(super) fn installed() -> Result<bool> {
    has_program("nginx", "-v", "nginx-light")
}

/// The configuration that docs/proxies.md shows.
pub(super) fn documented_configuration() -> Result<String> {
    let text = fs::read_to_string(tools::workspace().join("docs/proxies.md"))?;
    let block = text.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    block.map(str::to_owned).context("docs/proxies.md shows no configuration of nginx")
}

/// A running nginx. It ends with this value.
pub(super) struct Nginx {
    pub(super) address: SocketAddrV4,
    _process: Process,
    _folder: TempDir,
}

impl Nginx {
    /// One that passes everything to the broker, and has these lines besides.
    pub(super) async fn passing(broker: &Broker, lines: &str) -> Result<Self> {
        let broker_address = broker.data;
        Self::configured(broker, |listen| {
            format!(
                "server {{ listen {listen}; location / {{ proxy_pass http://{broker_address}; {lines} }} }}"
            )
        })
        .await
    }

    /// One that is configured as docs/proxies.md shows.
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

    /// One with this inside of its `http` block, in front of a broker.
    pub(super) async fn configured(
        broker: &Broker,
        http_block: impl FnOnce(SocketAddrV4) -> String,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // On the broker's own address nobody else takes the port meanwhile.
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
                // Nothing is asked: what is behind may be there for one request only.
                TcpStream::connect(address).await.map(drop).map_err(anyhow::Error::from)
            }
        })
        .await?;
        Ok(Self { address, _process: process, _folder: folder })
    }
}

/// What nginx needs to run in a folder of its own, without a `nginx` account: nothing of it changes how it passes things
/// on. One process: workers would outlive a master that is killed.
fn complete_configuration(folder: impl std::fmt::Display, http_block: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|what| format!("{what}_temp_path {folder}/{what};"));
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr info;\nevents {{}}\n\
         http {{\naccess_log off;\n{}\n{http_block}\n}}\n",
        temporary.join("\n")
    )
}
