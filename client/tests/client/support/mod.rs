//! Helpers of the tests: a scripted broker, proxies, a certificate authority, and the built command.

pub(crate) mod authority;
pub(crate) mod broker;
pub(crate) mod command;
pub(crate) mod forwarder;
pub(crate) mod reply;
pub(crate) mod terminal;

use std::time::Duration;

use restante_client::{Address, Client, ClientOptions, ProxyChoice, RetryOptions};

/// Time limit of a condition, for conditions that an idle machine meets within a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Options for a broker of a test: no proxy, and very short pauses.
pub(crate) fn options(url: &str) -> ClientOptions {
    let mut options = ClientOptions::new(url);
    options.proxy = ProxyChoice::Direct;
    options.retry =
        RetryOptions { delay_min: Duration::from_millis(1), delay_max: Duration::from_millis(20) };
    options
}

pub(crate) fn client(url: &str) -> Client {
    Client::new(options(url)).unwrap()
}

pub(crate) fn address() -> Address {
    "demo/orders".parse().unwrap()
}

/// Waits for a condition, and fails after the time limit.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the condition must hold soon")
}
