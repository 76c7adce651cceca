//! A TCP forwarder between clients and a broker, like a Kubernetes Service: its target can change to another broker.

use std::{
    net::SocketAddrV4,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Forwards connections until it is dropped.
pub(crate) struct Forwarder {
    url: String,
    to: Arc<Mutex<SocketAddrV4>>,
    _tasks: JoinSet<()>,
}

impl Forwarder {
    pub(crate) async fn to(address: SocketAddrV4) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let to = Arc::new(Mutex::new(address));
        let (mut tasks, target) = (JoinSet::new(), to.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let to = *target.lock().unwrap_or_else(PoisonError::into_inner);
                connections.spawn(async move {
                    // If nothing listens at the target, the client's connection is closed.
                    if let Ok(mut server) = TcpStream::connect(to).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Ok(Self { url, to, _tasks: tasks })
    }

    /// Changes the target of new connections; open ones keep theirs.
    pub(crate) fn forward_to(&self, address: SocketAddrV4) {
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}
