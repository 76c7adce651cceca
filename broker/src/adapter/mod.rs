//! The channel adapters, which handle the requests to an address.
//!
//! A destination has a [`PushAdapter`], a source has a [`PullAdapter`], and an address that is both has a
//! [`CombinedAdapter`], which consists of the other two.

mod answer;
mod batch_pull;
mod batch_push;
mod combined;
mod comments;
mod dead_letters;
pub mod inspect;
mod item;
pub mod lease;
mod leased_body;
mod leased_messages;
pub(crate) mod off_thread;
mod peek;
mod pieces;
mod printing;
mod properties;
mod pull;
mod pull_request;
mod push;
mod receive;
mod refusal;
mod settle_by_get;
mod settlements;
mod stream;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{extract::Request, response::Response};
pub(crate) use batch_pull::LINGER_MS_MAX;
pub use batch_pull::batches;
pub use combined::CombinedAdapter;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Uri};
pub use pull::PullAdapter;
pub use push::PushAdapter;
use restante_wire::{Address, ProblemType};
pub use settlements::settle_many;
pub(crate) use stream::IN_FLIGHT_MAX;

use crate::{
    address_store::AddressStore,
    admin::Health,
    channel::LeaseSealer,
    clock::Clock,
    core::{CounterRegistry, Router},
    drain::Drain,
    http::{BrowserRules, Callers, HttpError, Prefix},
    metrics::Metrics,
};

/// The future of an answer. By the time it exists, the request is validated and its head is dropped. So the connection
/// can reuse the buffer of the head, and a waiting receiver holds no memory that it does not need.
pub type Answering = BoxFuture<'static, Result<Response, HttpError>>;

/// The shared state of all adapters.
pub struct Context {
    /// Finds the channels of an address.
    pub store: AddressStore,
    /// Access to the channels, each of which a worker owns.
    pub cores: Router,
    /// The broker's own clock.
    pub clock: Clock,
    /// Seals and opens lease tokens.
    pub sealer: LeaseSealer,
    /// The counters of the channels.
    pub counters: Arc<CounterRegistry>,
    /// Which browser requests are allowed.
    pub browsers: BrowserRules,
    /// The path prefix under which clients reach the broker.
    pub prefix: Prefix,
    /// The state for the health checks.
    pub health: Health,
    /// The limits that all callers share.
    pub callers: Callers,
    /// `--body-timeout`: the time for a body, in addition to the time that its size allows.
    pub body_timeout: Duration,
    /// Whether the broker is shutting down: then pushes and pulls are refused, and settles continue.
    pub drain: Drain,
    /// The metrics of the broker.
    pub metrics: Arc<Metrics>,
}

/// The adapter of one address.
pub enum Adapter {
    /// The address is a destination.
    Push(PushAdapter),
    /// The address is a source.
    Pull(PullAdapter),
    /// The address is both: one end of a bi-directional link, or a channel with the same address on both sides.
    Combined(CombinedAdapter),
}

impl Adapter {
    /// Finds the adapter of an address.
    pub fn at(context: &Arc<Context>, address: &Address) -> Result<Self, HttpError> {
        if context.drain.has_begun() {
            return Err(refusal::draining());
        }
        let channels = context.store.destination(address.as_str());
        // Most channels have one address on both sides. With very many channels a second lookup takes a twentieth of a
        // push's time.
        let both = channels.iter().find(|channel| channel.config.source == *address).cloned();
        let source = both.or_else(|| context.store.source(address.as_str()));
        let push = PushAdapter::new(context, channels);
        let pull = source.map(|channel| PullAdapter::new(context, channel));
        match (push, pull) {
            (Some(push), Some(pull)) => Ok(Self::Combined(CombinedAdapter::new(push, pull))),
            (Some(push), None) => Ok(Self::Push(push)),
            (None, Some(pull)) => Ok(Self::Pull(pull)),
            (None, None) => Err(refusal::unknown(context, address, "no channel has the address")),
        }
    }

    /// Handles a request to the address: a POST pushes a message, any other method pulls.
    pub fn handle(self, address: Address, request: Request) -> Result<Answering, HttpError> {
        match (self, request.method() == Method::POST) {
            (Self::Push(push), true) => push.handle(address, request),
            (Self::Pull(pull), false) => pull.handle(request),
            (Self::Combined(combined), _) => combined.handle(address, request),
            (Self::Push(_), false) => Err(destination_only(&address)),
            (Self::Pull(_), true) => Err(source_only(&address)),
        }
    }

    /// The adapter of the address as a source.
    pub fn source(self, address: &Address) -> Result<PullAdapter, HttpError> {
        match self {
            Self::Pull(pull) => Ok(pull),
            Self::Combined(combined) => Ok(combined.pull),
            Self::Push(_) => Err(destination_only(address)),
        }
    }

    /// The adapter of the address as a destination.
    pub fn destination(self, address: &Address) -> Result<PushAdapter, HttpError> {
        match self {
            Self::Push(push) => Ok(push),
            Self::Combined(combined) => Ok(combined.push),
            Self::Pull(_) => Err(source_only(address)),
        }
    }
}

/// The address in a path. Nothing is percent-decoded, so that there is one way to write each address.
pub fn address_in(uri: &Uri, prefix: &str) -> Result<Address, HttpError> {
    let text = uri.path().strip_prefix(prefix).unwrap_or_default();
    text.parse().map_err(|error| {
        HttpError::new(ProblemType::AddressMalformed, format!("the address {text:?} is invalid: {error}"))
    })
}

fn destination_only(address: &Address) -> HttpError {
    refusal::one_sided(address, "a destination, not a source; pull from the channel's source instead")
}

fn source_only(address: &Address) -> HttpError {
    refusal::one_sided(address, "a source, not a destination; push to the channel's destination instead")
}

/// A header value of text that the broker generated.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("text of the broker is visible ASCII")
}
