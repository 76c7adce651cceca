//! What runs on the client systems: the transmission module and the receiver module.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::Result;
use restante_client::{
    Address, Client, ClientOptions, ProxyChoice, Receiver, ReceiverOptions, SendOptions, Sender,
};

/// How long a sender goes on: longer than a broker takes to come back.
const DEADLINE: Duration = Duration::from_secs(180);

fn client(broker: SocketAddrV4) -> Result<Client> {
    let mut options = ClientOptions::new(format!("http://{broker}"));
    options.proxy = ProxyChoice::Direct;
    Ok(Client::new(options)?)
}

/// A sender to an address.
pub(crate) fn sender(broker: SocketAddrV4, address: &str) -> Result<Sender> {
    Ok(Sender::new(&client(broker)?, address.parse::<Address>()?))
}

/// Goes on under one idempotency key for as long as a broker takes to come back.
pub(crate) fn patient_options() -> SendOptions {
    SendOptions { deadline: Some(DEADLINE), ..SendOptions::default() }
}

/// A receiver from an address, that is held for `wait_seconds` when there is nothing.
pub(crate) fn receiver(broker: SocketAddrV4, address: &str, wait_seconds: u32) -> Result<Receiver> {
    let mut options = ReceiverOptions::default();
    options.wait_seconds = Some(wait_seconds);
    options.settle_within = DEADLINE;
    Ok(Receiver::new(&client(broker)?, address.parse::<Address>()?, options))
}
