//! The combined adapter of a bi-directional link: the first adapter of one channel and the second of another, as one
//! module at one address. A client at that end sends by POST and receives by GET, and needs to know no other address.

use axum::extract::Request;
use http::Method;
use restante_wire::Address;

use super::{Answering, PullAdapter, PushAdapter};
use crate::http::HttpError;

/// Both sides of an address.
pub struct CombinedAdapter {
    pub(super) push: PushAdapter,
    pub(super) pull: PullAdapter,
}

impl CombinedAdapter {
    /// Joins the two sides of one address.
    pub fn new(push: PushAdapter, pull: PullAdapter) -> Self {
        Self { push, pull }
    }

    /// Whether the sides are two channels, one for each direction; else they are both sides of one.
    pub fn is_link_end(&self) -> bool {
        self.push.channels.iter().all(|channel| channel.number != self.pull.channel.number)
    }

    /// Answers a request to the address: a POST is a message for the other end, a GET asks for one of its messages.
    pub fn handle(self, address: Address, request: Request) -> Result<Answering, HttpError> {
        if *request.method() == Method::POST {
            self.push.handle(address, request)
        } else {
            self.pull.handle(request)
        }
    }
}
