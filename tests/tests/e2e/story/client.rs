//! Senders and receivers on the client systems.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::Result;
use restante_client::{
    Address, Client, ClientOptions, ProxyChoice, Receiver, ReceiverOptions, SendOptions, Sender,
};

/// Deadline of a send or settle: longer than the restart of a broker.
const DEADLINE: Duration = Duration::from_secs(180);

fn client(broker: SocketAddrV4) -> Result<Client> {
    let mut options = ClientOptions::new(format!("http://{broker}"));
    options.proxy = ProxyChoice::Direct;
    Ok(Client::new(options)?)
}

pub(crate) fn sender(broker: SocketAddrV4, address: &str) -> Result<Sender> {
    Ok(Sender::new(&client(broker)?, address.parse::<Address>()?))
}

/// Retries a push with the same idempotency key for longer than the restart of a broker.
pub(crate) fn patient_options() -> SendOptions {
    SendOptions { deadline: Some(DEADLINE), ..SendOptions::default() }
}

/// A receiver whose pulls wait for `wait_seconds`.
pub(crate) fn receiver(broker: SocketAddrV4, address: &str, wait_seconds: u32) -> Result<Receiver> {
    let mut options = ReceiverOptions::default();
    options.wait_seconds = Some(wait_seconds);
    options.settle_within = DEADLINE;
    Ok(Receiver::new(&client(broker)?, address.parse::<Address>()?, options))
}
