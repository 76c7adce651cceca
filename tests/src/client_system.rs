//! A client system: to the network it looks like a separate machine, behind a firewall that allows only outgoing TCP to
//! the broker.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddrV4},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    firewall,
    in_namespace::{self, Inside},
    netns::{self, NetworkNamespace, VethEnd},
};

/// Number of the next client of this test binary. Each client has its own network: 10.89.<number>.0/30.
static NUMBER: AtomicU8 = AtomicU8::new(0);

/// Time-out of a connection that must fail. On one machine, connecting takes microseconds, and TCP would resend a
/// packet after a second.
const MISSED_AFTER: Duration = Duration::from_secs(1);

/// Time-out of a connection that must succeed. It is long because the machine may be busy.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// Port of a listener that represents any service of a client system.
const SERVED: u16 = 9999;

/// A client system. Dropping it takes it off the network.
#[derive(Debug)]
pub struct ClientSystem {
    namespace: NetworkNamespace,
    /// Namespace at the other end of the system's cable.
    network: String,
    address: Ipv4Addr,
    broker: SocketAddrV4,
}

impl ClientSystem {
    /// Makes a system called `what`, with a cable to the namespace `network`, and a firewall that allows only
    /// connections to `broker`.
    pub fn join(what: &str, network: &str, broker: SocketAddrV4) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = NetworkNamespace::create(what)?;
        let (gateway, address) = (Ipv4Addr::new(10, 89, number, 1), Ipv4Addr::new(10, 89, number, 2));
        let outside = VethEnd { namespace: network, interface: &format!("client{number}"), address: gateway };
        netns::join(outside, VethEnd { namespace: namespace.name(), interface: "uplink", address })?;
        namespace.ip(&["route", "add", "default", "via", &gateway.to_string()])?;
        firewall::close(namespace.name(), broker)?;
        Ok(Self { namespace, network: network.to_owned(), address, broker })
    }

    /// The system's address, which cannot be reached.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Runs test code on this system, and waits for its result.
    pub fn run<F, W, T>(&self, work: W) -> Result<T>
    where
        W: FnOnce() -> F + Send + 'static,
        F: Future<Output = T>,
        T: Send + 'static,
    {
        in_namespace::run(self.namespace(), work)
    }

    /// Starts test code on this system.
    pub fn start<F, W, T>(&self, work: W) -> Result<Inside<T>>
    where
        W: FnOnce() -> F + Send + 'static,
        F: Future<Output = T>,
        T: Send + 'static,
    {
        in_namespace::start(self.namespace(), work)
    }

    /// Proves that the system cannot be reached, that it reaches the broker, and that it does not reach `elsewhere`,
    /// which must be a listening address. It also proves that both blocked connections succeed without the firewall: a
    /// missing cable would prove nothing.
    pub fn prove_closed(&self, elsewhere: SocketAddrV4) -> Result<()> {
        ensure!(
            reaches(self.namespace(), self.broker)?,
            "the client cannot reach the broker {}",
            self.broker
        );
        ensure!(
            !connects(self.namespace(), elsewhere)?,
            "the firewall allows the client to reach {elsewhere}"
        );
        ensure!(!self.can_be_reached(MISSED_AFTER)?, "the firewall allows others to reach {}", self.address);
        firewall::open(self.namespace())?;
        let reached = self.can_be_reached(ARRIVES_WITHIN);
        let reaches = reaches(self.namespace(), elsewhere);
        firewall::close(self.namespace(), self.broker)?;
        ensure!(
            reached?,
            "{} cannot be reached without the firewall either, so the test proves nothing",
            self.address
        );
        ensure!(
            reaches?,
            "{elsewhere} cannot be reached without the firewall either, so the test proves nothing"
        );
        Ok(())
    }

    /// Whether a listener on the system can be reached from the broker's side.
    fn can_be_reached(&self, within: Duration) -> Result<bool> {
        let served = SocketAddrV4::new(self.address, SERVED);
        let network = self.network.clone();
        self.run(move || async move {
            let listener = TcpListener::bind(served).await.context("cannot listen on the client system")?;
            // Proves that it listens: the system reaches itself.
            TcpStream::connect(served).await.context("the listener does not answer")?;
            let reached = in_namespace::start(&network, move || connect(served, within))?.wait()?;
            drop(listener);
            Ok(reached)
        })?
    }
}

/// Whether a TCP connection from the namespace succeeds that is expected to fail.
pub fn connects(namespace: &str, to: SocketAddrV4) -> Result<bool> {
    in_namespace::run(namespace, move || connect(to, MISSED_AFTER))
}

/// Whether a TCP connection from the namespace succeeds that is expected to succeed.
pub fn reaches(namespace: &str, to: SocketAddrV4) -> Result<bool> {
    in_namespace::run(namespace, move || connect(to, ARRIVES_WITHIN))
}

async fn connect(to: SocketAddrV4, within: Duration) -> bool {
    matches!(timeout(within, TcpStream::connect(to)).await, Ok(Ok(_)))
}
