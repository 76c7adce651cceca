//! Messages through a broker that an operator runs, from a process on the node.

use std::net::SocketAddrV4;

use anyhow::{Context, Result, ensure};
use restante_client::{
    Address, Client, ClientOptions, Message, ProxyChoice, Receiver, ReceiverOptions, SendOptions, Sender,
};
use restante_tests::in_namespace;

use super::process::{Operator, SOON};

/// The wait of a pull, in seconds.
const WAIT_SECONDS: u32 = 10;

impl Operator {
    /// Sends a message to an address of one of its brokers.
    pub(crate) fn send(&self, broker: &str, address: &str, content: &'static str) -> Result<()> {
        let (service, address) = (self.service(broker)?, address.parse::<Address>()?);
        in_namespace::run(&self.cluster.network_namespace, move || async move {
            let options = SendOptions { deadline: Some(SOON), ..SendOptions::default() };
            Sender::new(&client(service)?, address).send_with(Message::new(content), options).await?;
            Ok(())
        })?
    }

    /// Receives the next message from an address of one of its brokers, checks its content, and settles it.
    pub(crate) fn receive(&self, broker: &str, address: &str, content: &'static str) -> Result<()> {
        let (service, address) = (self.service(broker)?, address.parse::<Address>()?);
        in_namespace::run(&self.cluster.network_namespace, move || async move {
            let mut options = ReceiverOptions::default();
            options.wait_seconds = Some(WAIT_SECONDS);
            let receiver = Receiver::new(&client(service)?, address, options);
            let received =
                tokio::time::timeout(SOON, receiver.receive()).await.context("no message came")??;
            ensure!(received.body == content.as_bytes(), "the message has another content");
            received.settle().await?;
            Ok(())
        })?
    }

    fn service(&self, broker: &str) -> Result<SocketAddrV4> {
        let service = format!("restante-{broker}");
        let service = self.kubectl().json(&["-n", &self.namespace, "get", "service", &service])?;
        let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        Ok(SocketAddrV4::new(address.parse()?, 8080))
    }
}

fn client(broker: SocketAddrV4) -> Result<Client> {
    let mut options = ClientOptions::new(format!("http://{broker}"));
    options.proxy = ProxyChoice::Direct;
    Ok(Client::new(options)?)
}
