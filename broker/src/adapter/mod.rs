//! The channel adapters: what serves an address.
//!
//! An address with a destination side gets the [`PushAdapter`], one with a source side the [`PullAdapter`], and one with
//! both the [`CombinedAdapter`], which is made of the other two.

mod answer;
pub(crate) mod aside;
mod asked;
mod batch_pull;
mod batch_push;
mod combined;
mod comments;
mod held;
mod item;
pub mod lease;
mod leased_body;
mod letters;
pub mod look;
mod peek;
mod pieces;
mod printing;
mod pull;
mod push;
mod receive;
mod refusal;
mod said;
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

/// An answer on its way. What the request says is known to be in order by then, and its head is gone: a connection reads into
/// the place where the last head was, and a receiver that waits holds nothing that it does not need.
pub type Answering = BoxFuture<'static, Result<Response, HttpError>>;

/// What every adapter works with. Shared, because each request has it.
pub struct Context {
    /// Which channel an address belongs to.
    pub store: AddressStore,
    /// The channels, on their cores.
    pub cores: Router,
    /// The clock that all times are by.
    pub clock: Clock,
    /// The seal of lease tokens.
    pub sealer: LeaseSealer,
    /// Their counters.
    pub counters: Arc<CounterRegistry>,
    /// Which browsers are let in.
    pub browsers: BrowserRules,
    /// Under which path clients reach the broker.
    pub prefix: Prefix,
    /// Whether the broker lives and serves.
    pub health: Health,
    /// What callers share.
    pub callers: Callers,
    /// How long a request's body has, besides the time that its bytes are worth.
    pub body_timeout: Duration,
    /// The broker is shutting down: no message is taken or given any more, and settles go on.
    pub drain: Drain,
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
        if context.drain.has_begun() {
            return Err(refusal::draining());
        }
        let channels = context.store.destination(address.as_str());
        // Most channels have one address on both sides, and among very many a second look in the store is a twentieth of a push.
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

    /// Answers a request to the address: a POST is a message, anything else asks for one.
    pub fn handle(self, address: Address, request: Request) -> Result<Answering, HttpError> {
        match (self, request.method() == Method::POST) {
            (Self::Push(push), true) => push.handle(address, request),
            (Self::Pull(pull), false) => pull.handle(request),
            (Self::Combined(combined), _) => combined.handle(address, request),
            (Self::Push(_), false) => Err(only_sent_to(&address)),
            (Self::Pull(_), true) => Err(only_asked_for(&address)),
        }
    }

    /// What gives the address's messages.
    pub fn source(self, address: &Address) -> Result<PullAdapter, HttpError> {
        match self {
            Self::Pull(pull) => Ok(pull),
            Self::Combined(combined) => Ok(combined.pull),
            Self::Push(_) => Err(only_sent_to(address)),
        }
    }

    /// What takes messages for the address.
    pub fn destination(self, address: &Address) -> Result<PushAdapter, HttpError> {
        match self {
            Self::Push(push) => Ok(push),
            Self::Combined(combined) => Ok(combined.push),
            Self::Pull(_) => Err(only_asked_for(address)),
        }
    }
}

/// The address in a path, as it stands there: nothing is decoded, so that there is one way to write each.
pub fn address_in(uri: &Uri, prefix: &str) -> Result<Address, HttpError> {
    let text = uri.path().strip_prefix(prefix).unwrap_or_default();
    text.parse().map_err(|error| {
        HttpError::new(ProblemType::AddressMalformed, format!("the address {text:?} is invalid: {error}"))
    })
}

fn only_sent_to(address: &Address) -> HttpError {
    refusal::one_sided(
        address,
        "a destination and not a source: messages are sent to it; receive at the channel's source",
    )
}

fn only_asked_for(address: &Address) -> HttpError {
    refusal::one_sided(
        address,
        "a source and not a destination: messages are received there; send to the channel's destination",
    )
}

/// A header value of text that the broker made.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("what the broker prints is visible ASCII")
}
