//! Kills the broker (`kill -9`) again and again under load; the clients keep a ledger of all messages.

use std::{os::unix::process::ExitStatusExt, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use restante_client::{Client, Message, ReceiveError, Receiver, ReceiverOptions, Sender};
use restante_tests::{
    ledger::{self, Fault, Ledger},
    wait,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    broker::{Broker, DEADLINE, channel},
    content,
};

const KILLS: usize = 12;
/// Limit of answers to pushes between two kills: from none, in the middle of recovery, to some commit batches.
const ANSWERS_BETWEEN_KILLS_MAX: u64 = 250;
/// Small segments, so that a run fills, seals and compacts several.
const FLAGS: [&str; 4] = ["--segment-size", "1MiB", "--hot-body-memory", "64KiB"];
const CONTENT_BYTES_MAX: usize = 6000;
/// Limit of unsettled messages of a channel. Senders are faster than receivers, and the test waits for the rest at the
/// end.
const BACKLOG_MAX: usize = 48;
/// A message whose answer was lost returns after this time.
const LEASE_SECONDS: u32 = 2;
/// One message in this number is released at its first delivery.
const RELEASED_ONE_IN: u64 = 11;

/// One channel, the ledger of its clients, and the room for its senders.
#[derive(Clone)]
struct Load {
    name: &'static str,
    ledger: Ledger,
    room: Arc<Semaphore>,
    client: Client,
}

impl Load {
    fn new(name: &'static str, broker: &Broker) -> Result<Self> {
        let room = Arc::new(Semaphore::new(BACKLOG_MAX));
        Ok(Self { name, ledger: Ledger::default(), room, client: broker.client()? })
    }

    /// Pushes one message after the other while `goes_on` is true, and repeats each until it is answered.
    async fn send(self, sender: u32, mut goes_on: watch::Receiver<bool>) -> Result<()> {
        let channel = Sender::new(&self.client, format!("acme/{}", self.name).parse()?);
        for count in 0.. {
            let room = tokio::select! {
                room = self.room.acquire() => room?,
                over = goes_on.wait_for(|on| !on) => return over.map(drop).context("the test waits for its senders"),
            };
            // The receiver that settles the message adds the permit again.
            room.forget();
            let key = ledger::key(sender, count);
            self.ledger.sent(key);
            let message = Message::new(content::of(key, CONTENT_BYTES_MAX));
            channel.send(message.idempotency_key(format!("{key:x}"))?).await?;
            self.ledger.acknowledged(key);
            if !*goes_on.borrow() {
                break;
            }
        }
        Ok(())
    }

    /// Receives until it is cancelled, and settles nearly every message.
    async fn receive(self, options: ReceiverOptions) -> Result<u64> {
        let receiver = Receiver::new(&self.client, format!("acme/{}", self.name).parse()?, options);
        loop {
            let message = match receiver.receive().await {
                Ok(message) => message,
                Err(ReceiveError::Cancelled) => break,
                Err(error) => return Err(error.into()),
            };
            let Some(key) = content::key_of(&message.body, CONTENT_BYTES_MAX) else {
                let bytes = message.body.len();
                self.ledger.received_unexpected(format!("message {} with {bytes} bytes", message.id));
                continue;
            };
            self.ledger.received_as(key, message.id.as_u128(), message.deliveries);
            if message.deliveries == 1 && key % RELEASED_ONE_IN == 0 {
                drop(message);
                continue;
            }
            match message.settle().await {
                Ok(()) => {
                    self.ledger.settled(key);
                    self.room.add_permits(1);
                }
                // The lease ended while the broker was down: the message is delivered again.
                Err(error) if error.is_lost() => {}
                Err(error) => bail!("{key:#x} could not be settled: {error}"),
            }
        }
        receiver.drained().await;
        Ok(receiver.counts().retrying)
    }
}

/// Kills the broker at random moments of the load. A start may be killed before it serves.
async fn kill_again_and_again(broker: &mut Broker, loads: &[Load]) -> Result<()> {
    let acknowledged = || loads.iter().map(|load| load.ledger.counts().acknowledged as u64).sum::<u64>();
    for number in 0..KILLS {
        let enough = acknowledged() + getrandom::u64()? % (ANSWERS_BETWEEN_KILLS_MAX + 1);
        wait::until_async("pushes to be answered", DEADLINE, || async {
            let so_far = acknowledged();
            if so_far >= enough { Ok(()) } else { Err(format!("{so_far} of {enough} answered")) }
        })
        .await?;
        let status = broker.kill()?;
        ensure!(status.signal() == Some(9), "the broker ended before kill {number}: {status}");
        broker.start()?;
    }
    broker.ready().await
}

/// Faults while messages are in flight. A message that was not received yet is not lost.
fn faults_so_far(load: &Load) -> Vec<Fault> {
    load.ledger.faults().into_iter().filter(|fault| !matches!(fault, Fault::Lost(_))).collect()
}

#[tokio::test]
async fn a_broker_killed_again_and_again_loses_no_stored_message_and_redelivers_no_settled_one() -> Result<()>
{
    let delivery = format!("delivery: {{waitSeconds: 1, leaseSeconds: {LEASE_SECONDS}}}");
    let manifests = [channel("letters", &delivery), channel("parcels", &delivery)].concat();
    let mut broker = Broker::prepared(&manifests, &FLAGS)?;
    broker.start()?;
    broker.ready().await?;

    // A single receiver of letters can check the order of each sender. The receivers of parcels compete.
    let (letters, parcels) = (Load::new("letters", &broker)?, Load::new("parcels", &broker)?);
    let (running, goes_on) = watch::channel(true);
    let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
    let options = ReceiverOptions::default();
    for (load, receiver_count) in [(&letters, 1), (&parcels, 3)] {
        for sender in 1..=3 {
            senders.spawn(load.clone().send(sender, goes_on.clone()));
        }
        for _ in 0..receiver_count {
            receivers.spawn(load.clone().receive(options.clone()));
        }
    }

    let killed = kill_again_and_again(&mut broker, &[letters.clone(), parcels.clone()]).await;
    killed.with_context(|| format!("so far: {:?} {:?}", faults_so_far(&letters), faults_so_far(&parcels)))?;
    running.send(false)?;
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    for load in [&letters, &parcels] {
        broker.until_empty(load.name).await?;
    }
    options.cancel.cancel();
    let mut faults_met = 0;
    while let Some(receiver) = receivers.join_next().await {
        faults_met += receiver??;
    }
    ensure!(faults_met > 0, "no receiver noticed any of the kills");

    for load in [&letters, &parcels] {
        let (counts, receptions) = (load.ledger.counts(), load.ledger.receptions());
        eprintln!("{}: {counts}, {receptions} receptions", load.name);
        assert!(load.ledger.is_complete(), "{counts}");
        assert!(counts.acknowledged > KILLS, "{counts}: there was no load");
        assert!(receptions > counts.received, "no message was delivered twice, although some were released");
    }
    assert_eq!(letters.ledger.faults_in_order(), []);
    assert_eq!(parcels.ledger.faults(), []);

    // Restart once more without clients: the data on disk shows the same.
    broker.kill()?;
    broker.start()?;
    broker.ready().await?;
    for load in [&letters, &parcels] {
        let stats = broker.stats(load.name).await?;
        assert_eq!((stats.ready, stats.leased, stats.bytes), (0, 0, 0), "{stats:?}");
        assert_eq!(stats.oldest_message_age_seconds, None);
    }
    Ok(())
}
