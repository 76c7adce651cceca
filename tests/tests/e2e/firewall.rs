//! The firewalls of client systems drop what they should, and nothing else.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result};
use restante_tests::{
    client_system::{self, ClientSystem},
    firewall, in_namespace,
    netns::NetworkNamespace,
    requirements,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

const MIDDLE: Ipv4Addr = Ipv4Addr::new(10, 90, 0, 1);
const BROKER: SocketAddrV4 = SocketAddrV4::new(MIDDLE, 8080);
const OTHER: SocketAddrV4 = SocketAddrV4::new(MIDDLE, 8081);

/// A network with two echo servers, which stop when `end` is dropped.
struct Servers {
    end: oneshot::Sender<()>,
    network: NetworkNamespace,
    inside: in_namespace::Inside<Result<()>>,
}

impl Servers {
    fn start(what: &str) -> Result<Self> {
        let network = NetworkNamespace::create(what)?;
        network.ip(&["address", "add", &format!("{MIDDLE}/32"), "dev", "lo"])?;
        let ((end, ended), (up, is_up)) = (oneshot::channel(), oneshot::channel());
        let inside = in_namespace::start(network.name(), || async {
            let (broker, other) = (TcpListener::bind(BROKER).await?, TcpListener::bind(OTHER).await?);
            up.send(()).ok().context("the test ended before the servers started")?;
            tokio::select! {
                _ = ended => Ok(()),
                result = echo(broker) => result,
                result = echo(other) => result,
            }
        })?;
        is_up.blocking_recv()?;
        Ok(Self { end, network, inside })
    }

    fn stop(self) -> Result<()> {
        drop(self.end);
        self.inside.wait()?
    }
}

async fn echo(listener: TcpListener) -> Result<()> {
    loop {
        let (mut connection, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = connection.split();
            tokio::io::copy(&mut reader, &mut writer).await
        });
    }
}

#[test]
fn a_client_system_reaches_the_broker_and_cannot_be_reached() -> Result<()> {
    if !requirements::has_root() {
        return Ok(());
    }
    let servers = Servers::start("fw-closed")?;
    let client = ClientSystem::join("fw-client", servers.network.name(), BROKER)?;
    client.prove_closed(OTHER)?;
    let answer: Result<Vec<u8>> = client.run(|| async {
        let mut connection = TcpStream::connect(BROKER).await?;
        connection.write_all(b"seven bolts").await?;
        connection.shutdown().await?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await?;
        Ok(answer)
    })?;
    assert_eq!(answer?, b"seven bolts");
    servers.stop()
}

#[test]
fn a_client_system_without_its_firewall_is_detected() -> Result<()> {
    if !requirements::has_root() {
        return Ok(());
    }
    let servers = Servers::start("fw-open")?;
    let client = ClientSystem::join("fw-bare", servers.network.name(), BROKER)?;
    firewall::open(client.namespace())?;
    let error = client.prove_closed(OTHER).err().context("an open client system was reported as closed")?;
    assert!(error.to_string().contains("the firewall allows the client to reach"), "{error:#}");
    servers.stop()
}

#[test]
fn two_client_systems_cannot_reach_each_other() -> Result<()> {
    if !requirements::has_root() {
        return Ok(());
    }
    let servers = Servers::start("fw-two")?;
    let join = |what: &str| ClientSystem::join(what, servers.network.name(), BROKER);
    let (one, other) = (join("fw-one")?, join("fw-other")?);
    // The first system's firewall allows this connection, so only the second system's firewall can drop it.
    let served = SocketAddrV4::new(other.address(), 9999);
    firewall::open(one.namespace())?;
    firewall::close(one.namespace(), served)?;
    let from = one.namespace().to_owned();
    let reached = other.run(move || async move {
        let _listener = TcpListener::bind(served).await?;
        client_system::connects(&from, served)
    });
    assert!(!reached??);
    servers.stop()
}
