//! The broker's pod is killed while both clients are at work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::{Context, Result, ensure};
use restante_client::{Message, SettleError};
use restante_tests::{client_system::ClientSystem, ledger::Ledger, wait};

use super::{
    client::{self, patient_options},
    release::{Release, SOON, SYSTEM},
};

const ADDRESS: &str = "acme/orders";
/// Messages that are settled before each kill, and after the last one.
const MESSAGES: usize = 300;
const KILLS: usize = 2;

pub(crate) fn a_broker_killed_under_load_loses_nothing(
    release: &Release,
    sender: &ClientSystem,
    receiver: &ClientSystem,
) -> Result<()> {
    let broker = release.service()?;
    let ledger = Ledger::default();
    let (enough, all_sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));

    let (sent, no_more) = (ledger.clone(), enough.clone());
    let sending = sender.start(move || async move {
        let sender = client::sender(broker, ADDRESS)?;
        let mut key = 0_u64;
        while !no_more.load(Relaxed) {
            sent.sent(key);
            sender.send_with(Message::new(key.to_string()), patient_options()).await?;
            sent.acknowledged(key);
            key += 1;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let (got, no_more) = (ledger.clone(), all_sent.clone());
    let receiving = receiver.start(move || async move {
        let receiver = client::receiver(broker, ADDRESS, 1)?;
        // Receive until the sender has ended and a pull times out.
        loop {
            let Some(received) = receiver.receive_once(None).await? else {
                if no_more.load(Relaxed) && got.is_complete() {
                    return Ok(());
                }
                continue;
            };
            let key = std::str::from_utf8(&received.body)?.parse()?;
            got.received(key);
            match received.settle().await {
                Ok(()) => got.settled(key),
                // The lease ended while the broker was down: the message is delivered again.
                Err(SettleError::Expired | SettleError::Superseded) => {}
                Err(error) => return Err(anyhow::Error::from(error)),
            }
        }
    })?;

    for _ in 0..KILLS {
        let before = ledger.counts().settled;
        wait::until("messages to flow", SOON, || flowed(&ledger, before))?;
        let uid = release.broker_pod()?["metadata"]["uid"].clone();
        release.kubectl.run(&[
            "-n",
            SYSTEM,
            "delete",
            "pod",
            "restante-default-0",
            "--grace-period=0",
            "--force",
        ])?;
        release.wait_for_successor_of(&uid)?;
    }
    let before = ledger.counts().settled;
    wait::until("messages to flow after the last kill", SOON, || flowed(&ledger, before))?;
    enough.store(true, Relaxed);
    let sent = sending.wait()?.context("sending");
    // The sender must end first: a receiver that stops during a push would leave its message behind.
    all_sent.store(true, Relaxed);
    sent?;
    receiving.wait()?.context("receiving")?;
    let faults = ledger.faults_in_order();
    ensure!(faults.is_empty(), "{}: {faults:?}", ledger.counts());
    Ok(())
}

fn flowed(ledger: &Ledger, before: usize) -> Result<()> {
    let counts = ledger.counts();
    ensure!(counts.settled >= before + MESSAGES, "{counts}");
    Ok(())
}
