//! The part of an operator: programs a broker's channels over the control port.

use reqwest::{Method, Response, StatusCode};
use restante_wire::{Address, ChannelConfig};
use uuid::Uuid;

use crate::broker::Broker;

const TOKEN: &str = "a-credential-that-only-this-test-has";

/// A broker that waits for its operator.
pub(crate) fn programmed_by_an_operator() -> Broker {
    with_flags(&[])
}

fn with_flags(flags: &[&str]) -> Broker {
    let mut broker = Broker::prepared(flags);
    operated(&mut broker);
    broker.start();
    broker
}

/// Opens the control port from the next start on.
pub(crate) fn operated(broker: &mut Broker) {
    let token = broker.folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    broker.add_flags(&[
        "--control-listen",
        "127.0.0.1:0",
        "--control-token-file",
        &token.display().to_string(),
    ]);
}

pub(crate) async fn with_channels(channels: &[ChannelConfig]) -> Broker {
    with_channels_and_flags(channels, &[]).await
}

/// A broker with these channels and further flags.
pub(crate) async fn with_channels_and_flags(channels: &[ChannelConfig], flags: &[&str]) -> Broker {
    let broker = with_flags(flags);
    assert_eq!(sync(&broker, channels).await.status(), StatusCode::OK);
    broker
}

/// A broker with the channel `acme/orders` and one change.
pub(crate) async fn with_orders(change: impl FnOnce(&mut ChannelConfig)) -> Broker {
    with_channels(&[orders(change)]).await
}

/// The channel `acme/orders` with one change.
pub(crate) fn orders(change: impl FnOnce(&mut ChannelConfig)) -> ChannelConfig {
    let mut orders = channel("orders");
    // Released messages are ready at once; tests of the back-off set their own.
    orders.delivery.backoff.initial_seconds = 0;
    change(&mut orders);
    orders
}

/// A channel of namespace acme with every default.
pub(crate) fn channel(name: &str) -> ChannelConfig {
    let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
    ChannelConfig::new(uid, "acme", name, Address::new("acme", name).unwrap())
}

pub(crate) async fn control(broker: &Broker, method: Method, path: &str, body: String) -> Response {
    let url = format!("http://{}/control/v1/{path}", broker.address("--control-listen"));
    broker.client.request(method, url).bearer_auth(TOKEN).body(body).send().await.unwrap()
}

/// Sends the broker its whole set of channels.
pub(crate) async fn sync(broker: &Broker, channels: &[ChannelConfig]) -> Response {
    let lines: Vec<_> = channels.iter().map(|channel| serde_json::to_string(channel).unwrap()).collect();
    control(broker, Method::POST, "sync", lines.join("\n")).await
}

/// Sends the broker one channel.
pub(crate) async fn put(broker: &Broker, channel: &ChannelConfig) -> Response {
    let path = format!("channels/{}", channel.uid);
    control(broker, Method::PUT, &path, serde_json::to_string(channel).unwrap()).await
}
