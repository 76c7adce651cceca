//! Deletion of channels: a channel stays until its messages are settled, and a draining channel accepts no pushes.

use anyhow::{Context, Result, bail, ensure};
use restante_client::{Message, ProblemType, SendError};
use restante_tests::client_system::ClientSystem;

use super::{
    client,
    release::{Release, SOON, USERS, condition},
};

const ADDRESS: &str = "acme/orders";

pub(crate) fn a_deleted_channel_with_messages_stays_until_they_are_settled(
    release: &Release,
    sender: &ClientSystem,
    receiver: &ClientSystem,
) -> Result<()> {
    let broker = release.service()?;
    let kubectl = &release.kubectl;
    // The previous chapter left one message.
    kubectl.run(&["-n", USERS, "delete", "mc", "orders", "--wait=false"])?;
    kubectl.until("the deletion to be blocked", SOON, &["-n", USERS, "get", "mc", "orders"], |channel| {
        let blocked =
            condition(channel, "DeletionBlocked").context("there is no condition DeletionBlocked")?;
        ensure!(blocked["status"] == "True", "{blocked}");
        ensure!(blocked["message"].as_str().is_some_and(|message| message.contains('1')), "{blocked}");
        Ok(())
    })?;
    receiver.run(move || async move {
        let received = client::receiver(broker, ADDRESS, 5)?.receive().await?;
        received.settle().await?;
        Ok::<_, anyhow::Error>(())
    })??;
    kubectl.wait_for("delete", SOON, &["-n", USERS, "messagechannel/orders"])?;
    sender.run(move || async move {
        match client::sender(broker, ADDRESS)?.send(Message::new("too late")).await {
            Ok(receipt) => bail!("a deleted channel accepted a message: {receipt:?}"),
            Err(SendError::Failed(error)) => {
                let problem = error.problem_type();
                ensure!(problem == Some(ProblemType::AddressUnknown), "{error}");
                Ok(())
            }
            Err(error) => bail!(error),
        }
    })?
}

pub(crate) fn a_draining_channel_refuses_pushes_and_is_removed_when_it_is_empty(
    release: &Release,
    sender: &ClientSystem,
    receiver: &ClientSystem,
) -> Result<()> {
    const DRAINED: &str = "acme/drained";
    let broker = release.service()?;
    let kubectl = &release.kubectl;
    release.channel_becomes_ready("drained", "  deletionPolicy: Drain\n")?;
    sender.run(move || async move {
        client::sender(broker, DRAINED)?.send(Message::new("the last")).await?;
        Ok::<_, anyhow::Error>(())
    })??;
    kubectl.run(&["-n", USERS, "delete", "mc", "drained", "--wait=false"])?;
    kubectl.until("the channel to drain", SOON, &["-n", USERS, "get", "mc", "drained"], |channel| {
        let blocked =
            condition(channel, "DeletionBlocked").context("there is no condition DeletionBlocked")?;
        ensure!(blocked["status"] == "True" && blocked["reason"] == "Draining", "{blocked}");
        let programmed = condition(channel, "Programmed").context("there is no condition Programmed")?;
        ensure!(programmed["observedGeneration"] == channel["metadata"]["generation"], "{programmed}");
        Ok(())
    })?;
    sender.run(move || async move {
        match client::sender(broker, DRAINED)?.send(Message::new("too late")).await {
            Ok(receipt) => bail!("a draining channel accepted a message: {receipt:?}"),
            Err(SendError::Failed(error)) => {
                ensure!(error.problem_type() == Some(ProblemType::ChannelClosing), "{error}");
                Ok(())
            }
            Err(error) => bail!(error),
        }
    })??;
    receiver.run(move || async move {
        let received = client::receiver(broker, DRAINED, 5)?.receive().await?;
        received.settle().await?;
        Ok::<_, anyhow::Error>(())
    })??;
    kubectl.wait_for("delete", SOON, &["-n", USERS, "messagechannel/drained"])
}
