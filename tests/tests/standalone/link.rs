//! A two-way conversation with one address per end: the real client at both ends, both directions at the same time.

use anyhow::{Result, ensure};
use restante_client::{Link, Message, ReceiverOptions};
use restante_tests::ledger;
use tokio::time::timeout;

use crate::{
    broker::{Broker, DEADLINE, channel},
    content,
};

/// Number of messages in each direction.
const MESSAGES: u32 = 300;
const CONTENT_BYTES_MAX: usize = 8000;
/// Content types. Each is delivered unchanged, and need not match the content.
const CONTENT_TYPES: [&str; 4] =
    ["application/octet-stream", "text/plain; charset=utf-8", "application/vnd.acme+json;v=1", "image/png"];
/// 600 messages with a synced push and a synced settle each take a few seconds on a disk that nothing else uses.
const CONVERSATION_WITHIN: std::time::Duration = DEADLINE.saturating_mul(2);

fn content_type(count: u32) -> &'static str {
    CONTENT_TYPES[count as usize % CONTENT_TYPES.len()]
}

/// One end sends its messages, one after the other, and receives the other end's messages at the same time.
async fn converse(end: &Link, says: u32, hears: u32) -> Result<()> {
    let say = async {
        for count in 0..MESSAGES {
            // The first message is empty.
            let content =
                if count == 0 { vec![] } else { content::of(ledger::key(says, count), CONTENT_BYTES_MAX) };
            let message = Message::new(content).content_type(content_type(count))?;
            let message = message.header("Meta-Count", &count.to_string())?;
            end.sender.send(message).await?;
        }
        anyhow::Ok(())
    };
    let hear = async {
        for count in 0..MESSAGES {
            let message = end.receiver.receive().await?;
            let key = (count > 0).then(|| ledger::key(hears, count));
            let heard = content::key_of(&message.body, CONTENT_BYTES_MAX);
            ensure!(heard == key, "{hears} said {key:x?} and {says} heard {heard:x?}");
            ensure!(message.body.is_empty() == (count == 0), "{count}: {} bytes", message.body.len());
            assert_eq!(message.content_type(), Some(content_type(count)));
            assert_eq!(message.headers["meta-count"], count.to_string());
            assert_eq!(message.deliveries, 1);
            message.settle().await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(say, hear).map(drop)
}

#[tokio::test]
async fn two_ends_with_one_address_each_exchange_messages_both_ways_at_the_same_time() -> Result<()> {
    let to_office = channel("bridge-to-office", "destinations: [bridge/factory]\n  source: bridge/office");
    let to_factory = channel("bridge-to-factory", "destinations: [bridge/office]\n  source: bridge/factory");
    let broker = Broker::serving(&[to_office, to_factory].concat()).await?;
    // Each end has its own client; they share only the broker.
    let end = |address: &str| -> Result<Link> {
        Ok(Link::new(&broker.client()?, address.parse()?, ReceiverOptions::default()))
    };
    let (factory, office) = (end("acme/bridge/factory")?, end("acme/bridge/office")?);
    let both = async { tokio::try_join!(converse(&factory, 1, 2), converse(&office, 2, 1)) };
    timeout(CONVERSATION_WITHIN, both).await??;
    for (end, channel) in [(&factory, "bridge-to-office"), (&office, "bridge-to-factory")] {
        let counts = end.receiver.counts();
        assert_eq!((counts.received, counts.settled), (u64::from(MESSAGES), u64::from(MESSAGES)));
        assert_eq!(broker.stats(channel).await?.messages(), 0);
    }
    Ok(())
}
