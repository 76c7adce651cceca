//! The combined adapter of a bi-directional link: the first adapter of one channel and the second adapter of another,
//! as one module at one address. The client at that end sends by POST and receives by GET, and needs no other address.

use axum::extract::Request;
use http::Method;
use restante_wire::Address;

use super::{PullAdapter, PushAdapter};
use crate::{api::Answering, http::HttpError};

/// Both sides of an address.
pub struct CombinedAdapter {
    pub(super) push: PushAdapter,
    pub(super) pull: PullAdapter,
}

impl CombinedAdapter {
    /// Combines the two sides of one address.
    pub fn new(push: PushAdapter, pull: PullAdapter) -> Self {
        Self { push, pull }
    }

    /// Handles a request to the address: a POST pushes a message to the other end, a GET pulls a message from it.
    pub fn handle(self, address: Address, request: Request) -> Result<Answering, HttpError> {
        if *request.method() == Method::POST {
            self.push.handle(address, request)
        } else {
            self.pull.handle(request)
        }
    }
}
