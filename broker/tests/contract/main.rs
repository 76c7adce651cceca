//! The HTTP contract, over real sockets, against the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and its log is for people"
)]

mod bad_input;
mod broker;
mod combined;
mod control;
mod data_folder;
mod drain;
mod manifests;
mod metrics;
mod operator;
mod pull;
mod push;
mod recovery;
mod settle;
