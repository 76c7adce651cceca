//! Restante's own client.

use anyhow::{Context, Result, ensure};
use restante_client::{Client, ClientOptions, Message, ProxyChoice, Receiver, ReceiverOptions, Sender};
use tokio::time::timeout;

use super::{every_route, installed};
use crate::{
    broker::{Broker, DEADLINE, channel},
    content,
};

const MESSAGES: u64 = 20;
const CONTENT_BYTES_MAX: usize = 100_000;

#[tokio::test]
async fn the_client_sends_receives_and_settles_through_every_configuration() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await?;
    for route in every_route(&broker).await? {
        let mut options = ClientOptions::new(format!("http://{}", route.address));
        options.proxy = ProxyChoice::Direct;
        let client = Client::new(options)?;
        let sender = Sender::new(&client, "acme/orders".parse()?);
        let receiver = Receiver::new(&client, "acme/orders".parse()?, ReceiverOptions::default());
        let sends = async {
            for key in 0..MESSAGES {
                sender.send(Message::new(content::of(key, CONTENT_BYTES_MAX))).await?;
            }
            anyhow::Ok(())
        };
        let receives = async {
            for key in 0..MESSAGES {
                let message = receiver.receive().await?;
                let came = content::key_of(&message.body, CONTENT_BYTES_MAX);
                ensure!((came, message.deliveries) == (Some(key), 1), "{route}: {came:?}, not {key}");
                message.settle().await?;
            }
            anyhow::Ok(())
        };
        let both = async { tokio::try_join!(sends, receives) };
        timeout(DEADLINE, both).await.with_context(|| route.to_string())??;
        ensure!(broker.stats("orders").await?.messages() == 0, "{route}");
        ensure!(receiver.counts().retrying == 0, "{route}: {:?}", receiver.counts());
    }
    Ok(())
}
