//! Tests of the client with scripted brokers, proxies and certificates, which each test makes for itself.

#![expect(clippy::unwrap_used, reason = "what a test does not expect must end it, in its helpers too")]

mod batches;
mod channel;
mod cli_batches;
mod cli_channel;
mod cli_lease;
mod cli_pull;
mod cli_push;
mod cli_request;
mod cli_terminal;
mod lease;
mod proxy;
mod receiver;
mod request_reply;
mod sender;
mod sender_batches;
mod support;
mod work;
