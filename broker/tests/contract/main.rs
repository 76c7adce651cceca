//! The HTTP contract, over real sockets, against the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and its log is for people"
)]

mod acknowledge;
mod backup;
mod backup_output;
mod bad_input;
mod batches;
mod behind_a_proxy;
mod broker;
mod browsers;
mod clock;
mod combined;
mod complete_answers;
mod contract_tests;
mod control;
mod cores;
mod cors;
mod data_folder;
mod dead_letter_origins;
mod dead_letters;
mod deleted_channels;
mod disk_failures;
mod drain;
mod error_pages;
mod fan_out;
mod framing;
mod full_channels;
mod h2;
mod hostile;
mod incomplete_answers;
mod keep_headers;
mod log_ownership;
mod logging;
mod lost_addresses;
mod maintenance;
mod manifests;
mod memory_limits;
mod metrics;
mod misplaced_files;
mod new_folder;
mod openapi;
mod operator;
mod oversize_messages;
mod peek_and_stream;
mod policies;
mod probes_and_pages;
mod pull;
mod push;
mod raw;
mod recovery;
mod refused_bodies;
mod salvage;
mod settle;
mod sweep;
mod unreadable_leased_messages;
mod unreadable_messages;
