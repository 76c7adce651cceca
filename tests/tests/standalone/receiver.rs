//! The receiver module repeats its request after each time-out response; the broker counts the same number.

use anyhow::{Context, Result, anyhow};
use restante_client::{Event, Message, ReceiveError, Receiver, ReceiverOptions, Sender};
use restante_tests::wait;
use tokio::time::timeout;

use crate::broker::{Broker, DEADLINE, channel};

const TIMEOUTS: &str = "restante_pull_timeouts_total";
const WAITING: &str = "restante_waiting_receivers";
const GETS_WITHOUT_CONTENT: &str = "restante_http_request_duration_seconds_count{code=\"204\",method=\"GET\",route=\"/v1/messages/{*address}\"}";

#[tokio::test]
async fn the_receiver_repeats_its_request_after_each_time_out_response_and_the_broker_counts_them()
-> Result<()> {
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await?;
    let (client, address) = (broker.client()?, "acme/orders".parse()?);
    let receiver = Receiver::new(&client, address, ReceiverOptions::default());
    let mut events = receiver.events();
    let sender = Sender::new(&client, "acme/orders".parse()?);
    // The message is sent when the receiver has repeated its request after the third time-out response.
    let third_repeat = async {
        while receiver.counts().pull_repeated < 3 {
            events.recv().await?;
        }
        anyhow::Ok(sender.send(Message::new("seven bolts")).await?)
    };
    let (message, receipt) = timeout(DEADLINE, async { tokio::join!(receiver.receive(), third_repeat) })
        .await
        .context("no message came after three time-outs")?;
    let (message, receipt) = (message?, receipt?);
    assert_eq!((message.id, &message.body[..]), (receipt.message_id, &b"seven bolts"[..]));
    message.settle().await?;

    let counts = receiver.counts();
    // On a busy machine, the fourth wait may end before the message is stored.
    assert!(counts.timed_out >= 3, "{counts:?}");
    assert_eq!((counts.pull_repeated, counts.received, counts.retrying), (counts.timed_out, 1, 0));
    for series in [TIMEOUTS, GETS_WITHOUT_CONTENT] {
        assert_eq!(broker.metric(series).await?, counts.timed_out as f64, "{series}");
    }
    // Every pull got a time-out response or the message, and the broker held each.
    let pulls = (counts.timed_out + counts.received) as f64;
    assert_eq!(broker.metric("restante_pull_wait_seconds_count").await?, pulls);
    let held = broker.metric("restante_pull_wait_seconds_sum").await?;
    assert!(held >= counts.timed_out as f64, "{} time-outs took {held} s together", counts.timed_out);
    Ok(())
}

#[tokio::test]
async fn a_request_that_the_receiver_cancels_does_not_count_as_a_time_out() -> Result<()> {
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 20}")).await?;
    let options = ReceiverOptions::default();
    let cancel = options.cancel.clone();
    let receiver = Receiver::new(&broker.client()?, "acme/orders".parse()?, options);
    let cancel_request = async {
        broker.until_metric(WAITING, 1.0).await?;
        cancel.cancel();
        broker.until_metric(WAITING, 0.0).await
    };
    let (received, cancelled) = tokio::join!(receiver.receive(), cancel_request);
    cancelled?;
    assert!(matches!(received, Err(ReceiveError::Cancelled)), "{received:?}");
    assert_eq!((broker.metric(TIMEOUTS).await?, receiver.counts().timed_out), (0.0, 0));
    Ok(())
}

#[tokio::test]
async fn the_receiver_pauses_between_requests_to_a_channel_without_a_wait_and_each_is_counted() -> Result<()>
{
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 0}")).await?;
    let mut options = ReceiverOptions::default();
    options.wait_seconds = Some(0);
    let receiver = Receiver::new(&broker.client()?, "acme/orders".parse()?, options);
    let cancel = receiver.cancellation().clone();
    let mut events = receiver.events();
    let enough = async {
        // Cancelled right after a time-out response, when the receiver pauses and has no request in flight.
        while receiver.counts().timed_out < 10 {
            events.recv().await?;
        }
        cancel.cancel();
        anyhow::Ok(())
    };
    let (received, enough) = tokio::join!(receiver.receive(), enough);
    enough?;
    assert!(matches!(received, Err(ReceiveError::Cancelled)), "{received:?}");
    while let Ok(event) = events.try_recv() {
        assert!(matches!(event, Event::TimedOut | Event::PullRepeated), "{event:?}");
    }
    wait::until_async("equal counts of broker and receiver", DEADLINE, || async {
        let (broker, receiver) = (broker.metric(TIMEOUTS).await?, receiver.counts().timed_out);
        if broker == receiver as f64 { Ok(()) } else { Err(anyhow!("{broker} and {receiver}")) }
    })
    .await
}
