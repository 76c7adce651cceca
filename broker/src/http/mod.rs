//! HTTP: the server, its routes, and how requests are read. What they mean is decided in [`crate::adapter`].

pub mod body;
mod closing;
pub mod error;
pub mod header;
mod measure;
pub mod query;
mod router;
mod routes;
mod server;

pub use error::HttpError;
pub use router::{router, routes};
pub use routes::{Route, Routes};
pub use server::{Server, serve};
