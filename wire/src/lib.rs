//! The vocabulary that Restante's programs share: paths, header names, bodies and error types of the HTTP contract and
//! of the control API.
//!
//! Architecture Invariant: this crate does no IO and depends on neither an HTTP library nor Kubernetes. So the broker,
//! the operator and every client share one vocabulary without sharing a stack.

#![warn(missing_docs)]

pub mod address;
pub mod batch;
pub mod channel;
pub mod control;
pub mod control_token;
mod dead_letter;
pub mod header;
pub mod json;
pub mod near;
pub mod path;
pub mod problem;
pub mod revision;
pub mod terminal;

pub use address::{Address, AddressError};
pub use channel::{ChannelConfig, ChannelStats};
pub use dead_letter::DeadLetterCause;
pub use problem::{Problem, ProblemType};
pub use revision::Revision;
