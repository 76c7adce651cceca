//! A client system: a machine of its own, as far as the network can tell, behind a firewall that lets only its own
//! outgoing TCP to the broker through.

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

/// Each client of a test binary gets a network of its own: 10.89.<number>.0/30.
static NUMBER: AtomicU8 = AtomicU8::new(0);

/// How long is waited for a connection that must not come about. On one machine it takes microseconds, and a second is when TCP
/// would send a packet again.
const MISSED_AFTER: Duration = Duration::from_secs(1);

/// How long is waited for one that must: a machine may be busy with something else.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// Of the listener that stands for whatever a client system might serve.
const SERVED: u16 = 9999;

/// A client system. Dropping it takes it off the network.
#[derive(Debug)]
pub struct ClientSystem {
    namespace: NetworkNamespace,
    /// The other end of its cable.
    network: String,
    address: Ipv4Addr,
    broker: SocketAddrV4,
}

impl ClientSystem {
    /// A system called `what`, cabled to the namespace `network`, with its firewall closed to all but `broker`.
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

    /// Its address, to which nothing gets through.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its network namespace.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Runs test code on this system, and waits for it.
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

    /// Shows that the system cannot be reached, and itself reaches the broker and not `elsewhere`, which must be
    /// something that would answer. Each of the three is shown to depend on the firewall or to work as expected, so
    /// that a cable that is not plugged in proves nothing.
    pub fn prove_closed(&self, elsewhere: SocketAddrV4) -> Result<()> {
        ensure!(
            reaches(self.namespace(), self.broker)?,
            "the client does not reach the broker, {}",
            self.broker
        );
        ensure!(!connects(self.namespace(), elsewhere)?, "the firewall lets the client out to {elsewhere}");
        ensure!(!self.can_be_reached(MISSED_AFTER)?, "the firewall lets strangers in to {}", self.address);
        firewall::open(self.namespace())?;
        let reached = self.can_be_reached(ARRIVES_WITHIN);
        let reaches = reaches(self.namespace(), elsewhere);
        firewall::close(self.namespace(), self.broker)?;
        ensure!(reached?, "{} cannot be reached even without a firewall: nothing was shown", self.address);
        ensure!(reaches?, "{elsewhere} cannot be reached even without a firewall: nothing was shown");
        Ok(())
    }

    /// Whether something that listens on the system can be reached from the broker's side.
    fn can_be_reached(&self, within: Duration) -> Result<bool> {
        let served = SocketAddrV4::new(self.address, SERVED);
        let network = self.network.clone();
        self.run(move || async move {
            let listener =
                TcpListener::bind(served).await.context("nothing can listen on the client system")?;
            // It does listen: the system reaches itself.
            TcpStream::connect(served).await.context("the listener does not answer")?;
            let reached = in_namespace::start(&network, move || connect(served, within))?.wait()?;
            drop(listener);
            Ok(reached)
        })?
    }
}

/// Whether a TCP connection from the namespace comes about that should not.
pub fn connects(namespace: &str, to: SocketAddrV4) -> Result<bool> {
    in_namespace::run(namespace, move || connect(to, MISSED_AFTER))
}

/// Whether a TCP connection from the namespace comes about that should.
pub fn reaches(namespace: &str, to: SocketAddrV4) -> Result<bool> {
    in_namespace::run(namespace, move || connect(to, ARRIVES_WITHIN))
}

async fn connect(to: SocketAddrV4, within: Duration) -> bool {
    matches!(timeout(within, TcpStream::connect(to)).await, Ok(Ok(_)))
}
