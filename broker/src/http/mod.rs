//! HTTP: the server, its routes, and how requests are read. What they mean is decided in [`crate::adapter`].

pub mod body;
mod browsers;
mod closing;
mod connection;
pub mod error;
pub(crate) mod framing;
pub mod header;
pub mod meaning;
mod measure;
pub mod outbox;
pub mod query;
mod router;
mod routes;
mod server;
mod service;
mod version;
mod watched;

pub use browsers::BrowserRules;
pub use connection::{ConnectionCounts, ConnectionLimits};
pub use error::HttpError;
pub use router::routes;
pub use routes::{Route, Routes};
pub use server::{Server, serve};
pub use service::{Serve, service};
