//! One end of a bi-directional conversation: both modules on the address where this end lives.

use restante_wire::Address;

use crate::{Client, Receiver, ReceiverOptions, Sender};

/// A transmission module and a receiver module on one address. What this end sends, the other end receives at its own
/// address, and the other way round; which address is whose other end is the broker's to know.
#[derive(Debug)]
pub struct Link {
    /// Sends to the other end.
    pub sender: Sender,
    /// Receives from the other end.
    pub receiver: Receiver,
}

impl Link {
    /// This end of the link.
    pub fn new(client: &Client, address: Address, options: ReceiverOptions) -> Self {
        Self {
            sender: Sender::new(client, address.clone()),
            receiver: Receiver::new(client, address, options),
        }
    }
}
