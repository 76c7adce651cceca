//! The HTTP contract, over real sockets, against the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and its log is for people"
)]

mod acknowledging;
mod answers_sent;
mod backup;
mod backup_output;
mod bad_input;
mod batches;
mod behind_a_proxy;
mod beside;
mod bounds;
mod broker;
mod browsers;
mod clock;
mod combined;
mod control;
mod cores;
mod cors;
mod data_folder;
mod dead_letters;
mod deleted;
mod delivered;
mod disk_failures;
mod disk_told;
mod documented;
mod drain;
mod error_pages;
mod fan_out;
mod framing;
mod full;
mod h2;
mod hostile;
mod keep_headers;
mod letters_of_their_own;
mod logging;
mod looking;
mod lost_channels;
mod maintenance;
mod manifests;
mod metrics;
mod misplaced;
mod never_fits;
mod new_folder;
mod openapi;
mod operator;
mod policies;
mod pull;
mod push;
mod raw;
mod recovery;
mod refused_bodies;
mod salvage;
mod settle;
mod sweep;
mod unreadable;
mod unreadable_leased;
