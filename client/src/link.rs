//! One end of a bi-directional conversation: a sender and a receiver on one address.

use restante_wire::Address;

use crate::{Client, Receiver, ReceiverOptions, Sender};

/// A transmission module and a receiver module on one address. The other end receives at its own address what this end
/// sends, and this end receives what the other end sends. The broker's configuration connects the two addresses.
#[derive(Debug)]
pub struct Link {
    /// Sends to the other end.
    pub sender: Sender,
    /// Receives from the other end.
    pub receiver: Receiver,
}

impl Link {
    /// Makes the end of the link at this address.
    pub fn new(client: &Client, address: Address, options: ReceiverOptions) -> Self {
        Self {
            sender: Sender::new(client, address.clone()),
            receiver: Receiver::new(client, address, options),
        }
    }
}
