//! Server-Sent Events, which a buffering proxy would hold back.

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, Response};
use restante_wire::batch::DeliveredItem;

use super::{Route, every_route, header, installed};
use crate::broker::{Broker, channel};

const PATH: &str = "/v1/messages/acme/orders";
const WAITING: &str = "restante_waiting_receivers";

struct Events {
    answer: Response,
    read: Vec<u8>,
}

impl Events {
    async fn open(route: &Route, query: &str) -> Result<Self> {
        let request =
            route.request(Method::GET, &format!("{PATH}?{query}")).header("accept", "text/event-stream");
        let answer = request.send().await?.error_for_status()?;
        ensure!(header(&answer, "content-type")? == "text/event-stream", "{route}: {answer:?}");
        Ok(Self { answer, read: Vec::new() })
    }

    /// The next event, read while the stream is open.
    async fn next(&mut self) -> Result<DeliveredItem> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                let event = String::from_utf8(event)?;
                let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
                let Some(data) = field("data: ") else { continue };
                let item: DeliveredItem = serde_json::from_str(data)?;
                ensure!(field("id: ") == Some(&item.id), "{event}");
                return Ok(item);
            }
            match self.answer.chunk().await? {
                Some(chunk) => self.read.extend(chunk),
                None => bail!("the stream has ended"),
            }
        }
    }
}

async fn push(route: &Route, content: &str) -> Result<()> {
    route.request(Method::POST, PATH).body(content.to_owned()).send().await?.error_for_status()?;
    Ok(())
}

async fn settle(route: &Route, item: &DeliveredItem) -> Result<()> {
    let lease = item.lease.as_ref().context("an event has a lease")?;
    route.settle(&format!("/v1/leases/{lease}")).await
}

#[tokio::test]
async fn an_event_passes_while_the_stream_is_open_and_the_next_one_after_its_settle() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        let mut events = Events::open(&route, "lease=60").await?;
        broker.until_metric(WAITING, 1.0).await?;
        for content in ["one\n\nand its second paragraph", "two", "three"] {
            push(&route, content).await?;
        }
        for (content, ready) in [("one\n\nand its second paragraph", 2), ("two", 1), ("three", 0)] {
            let item = events.next().await.with_context(|| route.to_string())?;
            ensure!((&item.content.0[..], item.deliveries) == (content.as_bytes(), 1), "{route}: {item:?}");
            // The next event is sent only after this one is settled.
            let stats = broker.stats("orders").await?;
            ensure!((stats.ready, stats.leased) == (ready, 1), "{route}: {stats:?}");
            settle(&route, &item).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_requested_number_of_unsettled_events_passes() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        for content in ["one", "two", "three"] {
            push(&route, content).await?;
        }
        let mut events = Events::open(&route, "lease=60&in_flight=2").await?;
        let (one, two) = (events.next().await?, events.next().await?);
        ensure!((&one.content.0[..], &two.content.0[..]) == (&b"one"[..], &b"two"[..]), "{route}");
        let stats = broker.stats("orders").await?;
        ensure!((stats.ready, stats.leased) == (1, 2), "{route}: {stats:?}");
        settle(&route, &two).await?;
        let three = events.next().await?;
        ensure!(three.content.0 == b"three", "{route}: {three:?}");
        settle(&route, &one).await?;
        settle(&route, &three).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_whose_reader_hangs_up_leases_no_further_message() -> Result<()> {
    if !installed()? {
        return Ok(());
    }
    let broker = Broker::serving(&channel("orders", "delivery: {}")).await?;
    for route in every_route(&broker).await? {
        let events = Events::open(&route, "lease=60").await?;
        broker.until_metric(WAITING, 1.0).await?;
        drop(events);
        broker.until_metric(WAITING, 0.0).await?;
        push(&route, "seven bolts").await?;
        let answer = route.pull(&format!("{PATH}?wait=0")).await?;
        ensure!(header(&answer, "message-deliveries")? == "1", "{route}: {answer:?}");
        route.settle(&header(&answer, "location")?).await?;
    }
    Ok(())
}
