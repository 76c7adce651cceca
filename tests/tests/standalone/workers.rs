//! Batches and workers of the client library and the command, with a real broker.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Mutex,
};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use restante_client::{
    BatchOptions, HandlerError, Message, Receipt, Received, Receiver, ReceiverOptions, Sender, WorkOptions,
};
use restante_tests::{process::Process, wait};
use tokio::sync::Barrier;

use crate::{
    broker::{Broker, DEADLINE, channel},
    cli::succeeds,
    programs::restante,
};

async fn orders() -> Result<Broker> {
    Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await
}

fn receiver(broker: &Broker) -> Result<Receiver> {
    Ok(Receiver::new(&broker.client()?, "acme/orders".parse()?, ReceiverOptions::default()))
}

/// Pushes `count` messages, which `make` creates from their numbers.
async fn push(broker: &Broker, count: usize, make: impl Fn(usize) -> Message) -> Result<Vec<Receipt>> {
    let sender = Sender::new(&broker.client()?, "acme/orders".parse()?);
    let results = sender.send_batch((0..count).map(make).collect(), Some(DEADLINE)).await;
    Ok(results.into_iter().collect::<Result<_, _>>()?)
}

fn workers(workers: usize) -> WorkOptions {
    let mut options = WorkOptions::default();
    options.workers = workers;
    options
}

#[tokio::test]
async fn a_batch_of_several_requests_is_received_completely_and_in_order() -> Result<()> {
    let broker = orders().await?;
    let receipts = push(&broker, 2500, |number| Message::new(number.to_string())).await?;
    let receiver = receiver(&broker)?;
    let mut number = 0;
    while number < receipts.len() {
        let mut options = BatchOptions::default();
        options.messages_max = 700;
        let batch = receiver.receive_batch(options).await?;
        for message in &batch {
            ensure!(message.id == receipts[number].message_id, "expected message {number}, got {message:?}");
            ensure!(message.body == number.to_string());
            number += 1;
        }
        let verdicts = batch.into_iter().map(|message| (message, restante_client::Verdict::Settle)).collect();
        for (_, concluded) in receiver.apply_verdicts(verdicts).await {
            concluded?;
        }
    }
    broker.until_empty("orders").await
}

#[tokio::test]
async fn workers_handle_groups_concurrently_in_order_and_each_message_once() -> Result<()> {
    const GROUPS: usize = 4;
    const EACH: usize = 25;
    let broker = orders().await?;
    let grouped = |number: usize| {
        let message = Message::new((number / GROUPS).to_string());
        message.group(format!("g{}", number % GROUPS)).expect("letters and digits")
    };
    push(&broker, GROUPS * EACH, grouped).await?;
    let receiver = receiver(&broker)?;
    let seen: Mutex<BTreeMap<String, Vec<usize>>> = Mutex::default();
    // The first messages of all groups wait for each other, which only concurrent workers can pass.
    let together = Barrier::new(GROUPS);
    let handler = async |message: &Received| {
        let number: usize = std::str::from_utf8(&message.body).unwrap().parse().unwrap();
        if number == 0 {
            together.wait().await;
        }
        let group = message.group.clone().unwrap();
        seen.lock().unwrap().entry(group).or_default().push(number);
        Ok(())
    };
    let stop = async {
        let emptied = broker.until_empty("orders").await;
        receiver.cancellation().cancel();
        emptied
    };
    let (ran, emptied) = tokio::join!(receiver.run(workers(GROUPS), handler), stop);
    ran?;
    emptied?;
    let seen = seen.into_inner()?;
    ensure!(
        seen.len() == GROUPS && seen.values().all(|numbers| numbers.iter().copied().eq(0..EACH)),
        "{seen:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_handler_can_release_or_reject_its_message() -> Result<()> {
    let broker = orders().await?;
    push(&broker, 3, |number| Message::new(number.to_string())).await?;
    let receiver = receiver(&broker)?;
    let deliveries: Mutex<Vec<(String, u32)>> = Mutex::default();
    let handler = async |message: &Received| {
        let content = String::from_utf8_lossy(&message.body).into_owned();
        deliveries.lock().unwrap().push((content.clone(), message.deliveries));
        match (content.as_str(), message.deliveries) {
            ("0", 1) => Err(HandlerError::Release { delay_seconds: Some(0) }),
            ("1", _) => Err(HandlerError::Reject { reason: "no bolts".into() }),
            _ => Ok(()),
        }
    };
    let stop = async {
        let rejected = wait::until_async("one message to be left, as a dead letter", DEADLINE, || async {
            let stats = broker.stats("orders").await?;
            ensure!((stats.dead, stats.messages()) == (1, 1), "{stats:?}");
            Ok(())
        });
        let rejected = rejected.await;
        receiver.cancellation().cancel();
        rejected
    };
    let (ran, rejected) = tokio::join!(receiver.run(workers(1), handler), stop);
    ran?;
    rejected?;
    let mut deliveries = deliveries.into_inner()?;
    deliveries.sort_unstable();
    let wanted = [("0", 1), ("0", 2), ("1", 1), ("2", 1)].map(|(content, count)| (content.to_owned(), count));
    ensure!(deliveries == wanted, "{deliveries:?}");
    Ok(())
}

/// Appends its message to a file, and never ends if the message is `stuck`.
const WORK: &str = r#"
content=$(cat)
echo "$content $RESTANTE_DELIVERIES" >> "$0"
[ "$content" != stuck ] || exec sleep 3600
"#;

#[tokio::test]
async fn after_two_signals_pull_follow_releases_the_messages_of_its_workers() -> Result<()> {
    let broker = orders().await?;
    let done = broker.folder().join("done");
    let file = done.to_string_lossy().into_owned();
    succeeds(&broker, &["push", "acme/orders", "--batch", "--lines"], b"stuck\none\ntwo\nthree\n")?;
    let words = ["pull", "acme/orders", "--follow", "--workers", "2", "--exec", "sh", "-c", WORK, &file];
    let follow = restante(&broker.url(), &words)?;
    let mut follow = Process::start("restante pull", &follow, &broker.folder().join("follow.log"))?;
    wait::until("the other messages to be processed while one is stuck", DEADLINE, || {
        let text = fs::read_to_string(&done).unwrap_or_default();
        let lines: BTreeSet<_> = text.lines().collect();
        ensure!(lines == BTreeSet::from(["stuck 1", "one 1", "two 1", "three 1"]), "{text:?}");
        Ok(())
    })?;
    // A command that has written its line may still run, with its message not settled.
    wait::until_async("the other messages to be settled", DEADLINE, || async {
        let stats = broker.stats("orders").await?;
        ensure!(stats.messages() == 1, "{stats:?}");
        Ok(())
    })
    .await?;
    // Two signals of the same kind may arrive as one.
    follow.signal(Signal::SIGINT)?;
    follow.signal(Signal::SIGTERM)?;
    follow.wait(DEADLINE)?;
    let again = receiver(&broker)?.receive().await?;
    ensure!(again.body == "stuck", "{again:?}");
    again.settle().await?;
    broker.until_empty("orders").await
}
