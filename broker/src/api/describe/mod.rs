//! The HTTP contract of the data port as OpenAPI 3.1: one function for each operation, which `api/router.rs` names
//! beside the handler that it describes.
//!
//! The schemas of bodies are derived from the types of `restante_wire`. Status codes and `Retry-After` come from
//! `http/error.rs`, by the problem types that an operation lists.

mod answers;
mod batches;
mod document;
mod inspect;
mod leases;
mod messages;
mod parameters;
mod path_forms;
mod problems;
mod schemas;
mod service;
#[cfg(test)]
mod tests;

pub use batches::{count_batch, pull_batch, push_batch};
pub use document::{describe, document, document_head};
pub use inspect::{channel, channel_head, count_peek, peek};
pub use leases::{reject, release, renew, settle, settle_many};
pub use messages::{count, pull, push, receive};
pub use path_forms::{ADDRESS_FORMS, CHANNEL, LEASE, NO_PARAMETERS, PROBLEM, PathForm};
pub use service::{live, live_head, page, page_head, ready, ready_head};
