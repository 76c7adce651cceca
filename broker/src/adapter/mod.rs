//! The channel adapters: what serves an address.
//!
//! An address with a destination side gets the [`PushAdapter`], one with a source side the [`PullAdapter`], and one with
//! both the [`CombinedAdapter`], which is made of the other two.

mod combined;
pub mod lease;
mod leased_body;
mod pull;
mod push;

use std::sync::Arc;

use axum::{extract::Request, response::Response};
pub use combined::CombinedAdapter;
use http::Method;
pub use pull::PullAdapter;
pub use push::PushAdapter;
use restante_wire::{Address, ProblemType, path};
use tokio_util::sync::CancellationToken;

use crate::{
    address_store::AddressStore,
    core::{CounterRegistry, SharedCore},
    http::{HttpError, body::BodyMemory},
    metrics::Metrics,
};

/// What every adapter works with. Shared, because each request has it.
pub struct Context {
    /// Which channel an address belongs to.
    pub store: AddressStore,
    /// The channels.
    pub core: SharedCore,
    /// Their counters.
    pub counters: Arc<CounterRegistry>,
    /// The memory for bodies in flight.
    pub body_memory: BodyMemory,
    /// The broker is shutting down: no message is taken or given any more, and settles go on.
    pub drain: CancellationToken,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What serves one address.
pub enum Adapter {
    /// Messages are sent here.
    Push(PushAdapter),
    /// Messages are asked for here.
    Pull(PullAdapter),
    /// Both: one end of a bi-directional link, or a channel whose two sides have one address.
    Combined(CombinedAdapter),
}

impl Adapter {
    /// Finds what serves an address.
    pub fn at(context: &Arc<Context>, address: &Address) -> Result<Self, HttpError> {
        if context.drain.is_cancelled() {
            let detail = "this broker is shutting down: send the request again, to its successor";
            return Err(HttpError::new(ProblemType::Draining, detail));
        }
        let push =
            context.store.destination(address.as_str()).map(|channel| PushAdapter::new(context, channel));
        let pull = context.store.source(address.as_str()).map(|channel| PullAdapter::new(context, channel));
        match (push, pull) {
            (Some(push), Some(pull)) => Ok(Self::Combined(CombinedAdapter::new(push, pull))),
            (Some(push), None) => Ok(Self::Push(push)),
            (None, Some(pull)) => Ok(Self::Pull(pull)),
            (None, None) => Err(unknown(context, address, "no channel has the address")),
        }
    }

    /// Answers a request to the address.
    pub async fn handle(self, address: Address, request: Request) -> Result<Response, HttpError> {
        match (self, request.method() == Method::POST) {
            (Self::Push(push), true) => push.handle(&address, request).await,
            (Self::Pull(pull), false) => pull.handle(request).await,
            (Self::Combined(combined), _) => combined.handle(&address, request).await,
            (Self::Push(_), false) => Err(one_sided(&address, "sent to, and not asked for at,")),
            (Self::Pull(_), true) => Err(one_sided(&address, "asked for at, and not sent to,")),
        }
    }

    /// Answers a request that is a pull whatever its method.
    pub async fn receive(self, address: Address, request: Request) -> Result<Response, HttpError> {
        match self {
            Self::Pull(pull) => pull.handle(request).await,
            Self::Combined(combined) => combined.pull.handle(request).await,
            Self::Push(_) => Err(one_sided(&address, "sent to, and not asked for at,")),
        }
    }
}

/// The address in a path, as it stands there: nothing is decoded, so that there is one way to write each.
pub fn address_in(request: &Request, prefix: &str) -> Result<Address, HttpError> {
    let text = request.uri().path().strip_prefix(prefix).unwrap_or_default();
    text.parse().map_err(|error| {
        HttpError::new(ProblemType::AddressMalformed, format!("{text:?} is no address: {error}"))
    })
}

/// The address in the path of a push or pull.
pub fn message_address(request: &Request) -> Result<Address, HttpError> {
    address_in(request, path::MESSAGES)
}

/// No channel has the address; or, before the address store was ever filled, nobody knows.
fn unknown(context: &Context, address: &Address, reason: &str) -> HttpError {
    if !context.store.is_programmed() {
        let detail = "this broker was never told its channels: its operator, or --manifests, will";
        return HttpError::new(ProblemType::NotProgrammed, detail);
    }
    let detail = format!(
        "{reason} {address}: check the spelling, and that a MessageChannel in namespace {} has it and is Ready",
        address.namespace()
    );
    HttpError::new(ProblemType::AddressUnknown, detail)
}

fn one_sided(address: &Address, sides: &str) -> HttpError {
    let detail = format!("messages are {sides} {address}: see the channel's destination and source");
    HttpError::new(ProblemType::AddressUnknown, detail)
}

/// The store failed: what it holds is decided when the broker starts again.
fn store_failed() -> HttpError {
    HttpError::new(ProblemType::StoreFailed, crate::core::StoreFailed.to_string())
}
