//! Messages at an address, one at a time. A destination has a [`PushAdapter`], a source has a [`PullAdapter`], and an
//! address that is both has a [`CombinedAdapter`], which consists of the other two.

mod combined;
pub(super) mod draft;
mod head;
mod pull;
pub(super) mod pull_request;
mod push;
pub(super) mod settle_by_get;

use std::{future::ready, sync::Arc};

use axum::extract::{Request, State};
pub use combined::CombinedAdapter;
pub(super) use head::with_content;
use http::Method;
pub use pull::PullAdapter;
pub use push::PushAdapter;
use restante_wire::{Address, path};

use super::{Answering, Context, address_in, refusal};
use crate::http::HttpError;

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
    pub fn at(context: &Context, address: &Address) -> Result<Self, HttpError> {
        if context.service.drain.has_begun() {
            return Err(refusal::draining());
        }
        let (destination, source) = context.service.at(address);
        let push = destination.map(|destination| PushAdapter::new(destination, context.body_timeout));
        let pull = source.map(|source| PullAdapter::new(source, context.body_timeout));
        match (push, pull) {
            (Some(push), Some(pull)) => Ok(Self::Combined(CombinedAdapter::new(push, pull))),
            (Some(push), None) => Ok(Self::Push(push)),
            (None, Some(pull)) => Ok(Self::Pull(pull)),
            (None, None) => Err(refusal::unknown(&context.service, address, "no channel has the address")),
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

/// `GET`, `HEAD` and `POST /v1/messages/{address}`
pub(super) fn messages(State(context): State<Arc<Context>>, request: Request) -> Answering {
    let respond = || {
        let address = address_in(request.uri(), path::MESSAGES)?;
        Adapter::at(&context, &address)?.handle(address, request)
    };
    respond().unwrap_or_else(refused)
}

/// `POST /v1/receive/{address}`
pub(super) fn receive(State(context): State<Arc<Context>>, request: Request) -> Answering {
    let respond = || {
        let address = address_in(request.uri(), path::RECEIVE)?;
        Adapter::at(&context, &address)?.source(&address)?.handle(request)
    };
    respond().unwrap_or_else(refused)
}

/// The answer to an invalid request, which is ready at once.
fn refused(error: HttpError) -> Answering {
    Box::pin(ready(Err(error)))
}

fn destination_only(address: &Address) -> HttpError {
    refusal::one_sided(address, "a destination, not a source; pull from the channel's source instead")
}

fn source_only(address: &Address) -> HttpError {
    refusal::one_sided(address, "a source, not a destination; push to the channel's destination instead")
}
