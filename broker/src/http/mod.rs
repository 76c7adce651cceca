//! HTTP: the server, its routes, and how requests are read. What they mean is decided in [`crate::adapter`].

mod answer_body;
pub mod body;
mod browsers;
mod caller;
mod connection;
mod control_frames;
pub mod error;
pub mod header;
mod holder;
mod line;
mod measure;
mod places;
pub mod progress;
pub mod query;
mod request_body;
mod requests;
mod router;
mod routes;
mod server;
mod service;
mod stream;
pub mod undelivered;
mod version;
mod watched;

pub use browsers::BrowserRules;
pub use caller::{Caller, CallerCounts, CallerLimits, Callers};
pub use connection::{ConnectionCounts, ConnectionLimits};
pub use error::HttpError;
pub use holder::Holder;
pub use places::Places;
pub use requests::Serve;
pub use router::routes;
pub use routes::{Route, Routes};
pub use server::{Server, serve};
pub use service::DataPort;
