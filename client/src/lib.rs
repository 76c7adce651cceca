//! Client for the Restante message broker, for programs behind firewalls that allow outgoing HTTP only.
//!
//! * [`Sender`], the transmission module, takes a body and a destination, makes the message and transmits it by POST
//!   until it is stored.
//! * [`Receiver`], the receiver module, takes a source, pulls by GET and returns each message. After a time-out
//!   response it transmits the request again by itself.
//! * [`Link`] is a sender and a receiver on one address: one end of a bi-directional conversation.
//! * [`Client`] holds what they share: the broker's URL, the proxy, the certificates and the connections. It also makes
//!   the requests that need no loop: settling by lease token, peeking at messages, reading a channel's statistics, and
//!   a request with its reply.
//! * [`Control`] redrives and purges dead letters through the control API, with the control token.
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
//! Architecture Invariant: this crate does not know Kubernetes or any engine. It depends on the HTTP contract alone,
//! through the types of `restante-wire`.

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
mod retryable;
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
    control::{DeadLettersLeft, LeftBecause, Purge, Purged, PurgedState, Redrive, Redriven},
};
pub use retry::RetryOptions;
pub use sender::{Receipt, SendError, SendOptions, Sender};
