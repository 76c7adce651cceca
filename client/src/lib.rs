//! Restante's client: the transmission module and the receiver module, for programs behind firewalls that let only
//! outgoing HTTP through.
//!
//! * [`Sender`] takes content and a destination, makes the message and transmits it by POST until it is stored.
//! * [`Receiver`] takes a source, asks by GET, gives out the content, and on a time-out response asks again by itself.
//! * [`Link`] is both on one address: one end of a bi-directional conversation.
//! * [`Client`] is what they share: the broker's URL, the proxy and the certificates, and the requests that need no
//!   loop: settling by lease token, looking at messages without taking them, a channel's counts, and a request with its
//!   reply.
//! * [`Control`] redrives and purges dead letters, with the control port's token.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use restante_client::{Client, ClientOptions, Message, Receiver, ReceiverOptions, Sender};
//!
//! let client = Client::new(ClientOptions::new("http://127.0.0.1:8080"))?;
//! let receipt = Sender::new(&client, "demo/orders".parse()?).send(Message::new("seven bolts")).await?;
//! let receiver = Receiver::new(&client, "demo/orders".parse()?, ReceiverOptions::default());
//! let message = receiver.receive().await?;
//! assert_eq!(message.id, receipt.message_id);
//! message.settle().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Architecture Invariant: this crate knows nothing of Kubernetes and of no engine; it speaks the HTTP contract with
//! the vocabulary of `restante-wire`, and nothing else.

#![warn(missing_docs)]

mod answer;
mod channel;
mod client;
mod control;
mod error;
mod lease;
mod link;
mod message;
pub mod options;
pub mod peek;
pub mod receiver;
pub mod request_reply;
pub mod retry;
mod rounds;
pub mod sender;
mod text;
mod tls;

pub use client::Client;
pub use control::Control;
pub use error::{Refusal, RequestError};
pub use lease::{ReleaseOptions, SettleError, Verdict};
pub use link::Link;
pub use message::{HeaderError, Message};
pub use options::{ClientOptions, OptionsError, ProxyChoice};
pub use peek::{PeekOptions, PeekState};
pub use receiver::{
    BatchOptions, Counts, DeadLetter, Event, HandlerError, ReceiveError, Received, Receiver, ReceiverOptions,
    WorkOptions,
};
pub use request_reply::{ReplyError, RequestReplyError};
pub use restante_wire::{
    Address, ChannelStats, Problem, ProblemType,
    batch::{DeadLetterNote, DeliveredHead, DeliveredItem, Item, PeekedBatch},
    control::{LeftBecause, LettersLeft, Purge, Purged, PurgedState, Redrive, Redriven},
};
pub use retry::RetryOptions;
pub use sender::{Receipt, SendError, SendOptions, Sender};
