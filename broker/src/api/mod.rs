//! The routes of the data port: each handler reads a request, asks the service, and makes an answer of the outcome.
//! Each resource has a folder of its own.

mod batches;
mod channels;
mod context;
mod data_port;
pub mod describe;
mod leases;
mod measure;
mod messages;
mod off_thread;
mod peek;
mod print;
mod probes;
mod refusal;
mod router;
mod routes;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use batches::LINGER_MS_MAX;
pub use context::Context;
pub use data_port::DataPort;

pub use messages::{Adapter, CombinedAdapter, PullAdapter, PushAdapter};
pub(crate) use off_thread::THREADS_MAX;
pub(crate) use stream::IN_FLIGHT_MAX;

use axum::response::Response;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Uri};
use restante_wire::{Address, ProblemType};

use crate::http::HttpError;

/// The future of an answer. By the time it exists, the request is validated and its head is dropped. So the connection
/// can reuse the buffer of the head, and a waiting receiver holds no memory that it does not need.
pub type Answering = BoxFuture<'static, Result<Response, HttpError>>;

/// The address in a path. Nothing is percent-decoded, so that there is one way to write each address.
fn address_in(uri: &Uri, prefix: &str) -> Result<Address, HttpError> {
    let text = uri.path().strip_prefix(prefix).unwrap_or_default();
    text.parse().map_err(|error| {
        HttpError::new(ProblemType::AddressMalformed, format!("the address {text:?} is invalid: {error}"))
    })
}

/// A header value of text that the broker generated.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("text of the broker is visible ASCII")
}
