//! Messages from one client system to the other.

use anyhow::{Context, Result, ensure};
use restante_client::{Event, Message};
use restante_tests::client_system::ClientSystem;

use super::{
    client::{self, patient_options},
    release::Release,
};

const ADDRESS: &str = "acme/orders";
const MESSAGES: usize = 1000;

/// Content types, which the broker must deliver unchanged.
const CONTENT_TYPES: [Option<&str>; 6] = [
    None,
    Some("text/plain; charset=utf-8"),
    Some("application/json"),
    Some("application/octet-stream"),
    Some("APPLICATION/X-Of-Our-Own;v=\"1\""),
    Some("multipart/form-data; boundary=abc"),
];

/// Content and content type of a message: some are empty, some a mebibyte, the others binary.
fn message(number: usize) -> (Vec<u8>, Option<&'static str>) {
    let content = match number % 100 {
        7 => Vec::new(),
        42 => (0..1 << 20).map(|index| (index * 31 + number) as u8).collect(),
        _ => (0..number + 1).map(|index| (index ^ number) as u8).collect(),
    };
    (content, CONTENT_TYPES[number % CONTENT_TYPES.len()])
}

pub(crate) fn a_thousand_messages_arrive_unchanged(
    release: &Release,
    sender: &ClientSystem,
    receiver: &ClientSystem,
) -> Result<()> {
    let broker = release.service()?;
    let sending = sender.start(move || async move {
        let sender = client::sender(broker, ADDRESS)?;
        for number in 0..MESSAGES {
            let (content, content_type) = message(number);
            let mut message = Message::new(content).header("meta-number", &number.to_string())?;
            if let Some(content_type) = content_type {
                message = message.content_type(content_type)?;
            }
            let receipt = sender.send_with(message, patient_options()).await?;
            ensure!(receipt.durability == "fsync", "{receipt:?}");
        }
        Ok(())
    })?;
    let receiving = receiver.start(move || async move {
        let receiver = client::receiver(broker, ADDRESS, 5)?;
        for number in 0..MESSAGES {
            let received = receiver.receive().await?;
            let (content, content_type) = message(number);
            ensure!(
                received.headers["meta-number"] == number.to_string(),
                "message {number} is out of order"
            );
            ensure!(received.body == content, "message {number} differs");
            ensure!(received.content_type() == content_type, "message {number} has another content type");
            received.settle().await?;
        }
        Ok(())
    })?;
    sending.wait()?.context("sending")?;
    receiving.wait()?.context("receiving")
}

pub(crate) fn the_receiver_repeats_its_request_after_time_outs(
    release: &Release,
    sender: &ClientSystem,
    receiver: &ClientSystem,
) -> Result<()> {
    let broker = release.service()?;
    let before = time_outs(release)?;
    let (three, met_three) = tokio::sync::oneshot::channel();
    let receiving = receiver.start(move || async move {
        let receiver = client::receiver(broker, ADDRESS, 1)?;
        let mut events = receiver.events();
        let watching = async move {
            let (mut met, mut three) = (0, Some(three));
            while let Ok(event) = events.recv().await {
                met += u32::from(matches!(event, Event::TimedOut));
                if met == 3 {
                    three.take().map(|three| three.send(()));
                }
            }
        };
        let received = tokio::select! {
            received = receiver.receive() => received?,
            () = watching => unreachable!("the receiver still runs"),
        };
        received.settle().await?;
        Ok::<_, anyhow::Error>(receiver.counts())
    })?;
    met_three.blocking_recv().context("the receiver ended before its third time-out")?;
    sender.run(move || async move {
        let sender = client::sender(broker, ADDRESS)?;
        sender.send(Message::new("seven bolts")).await?;
        Ok::<_, anyhow::Error>(())
    })??;
    let counts = receiving.wait()??;
    ensure!(counts.timed_out >= 3 && counts.pull_repeated == counts.timed_out, "{counts:?}");
    let met = time_outs(release)? - before;
    ensure!(
        counts.timed_out as f64 == met,
        "the receiver counts {} time-out responses, the broker {met}",
        counts.timed_out
    );
    Ok(())
}

fn time_outs(release: &Release) -> Result<f64> {
    let metrics = release.admin("restante-default-0", "/metrics")?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("restante_pull_timeouts_total "));
    Ok(line.context("the broker does not count time-outs")?.parse()?)
}
