//! The client against scripted brokers, proxies and certificates, each made by the test that needs it.

#![expect(clippy::unwrap_used, reason = "what a test does not expect must end it, in its helpers too")]

mod cli_lease;
mod cli_pull;
mod cli_push;
mod lease;
mod proxy;
mod receiver;
mod sender;
mod support;
