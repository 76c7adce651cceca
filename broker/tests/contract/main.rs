//! The HTTP contract, over real sockets, against the real binary.

mod bad_input;
mod broker;
mod combined;
mod control;
mod data_folder;
mod drain;
mod manifests;
mod metrics;
mod pull;
mod push;
mod recovery;
mod settle;
