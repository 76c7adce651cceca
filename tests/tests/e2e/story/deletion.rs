//! A channel is deleted: not before its messages are gone.

use anyhow::{Context, Result, bail, ensure};
use restante_client::{Message, ProblemType, SendError};
use restante_tests::client_system::ClientSystem;

use super::{
    client,
    release::{Release, SOON, USERS, condition},
};

const ADDRESS: &str = "acme/orders";

pub(crate) fn a_channel_with_messages_waits_for_them_and_then_goes(
    release: &Release,
    sender: &ClientSystem,
    receiver: &ClientSystem,
) -> Result<()> {
    let broker = release.service()?;
    let kubectl = &release.kubectl;
    // The chapter before has left one message.
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
            Ok(receipt) => bail!("a deleted channel took a message: {receipt:?}"),
            Err(SendError::Failed(error)) => {
                let problem = error.problem_type();
                ensure!(problem == Some(ProblemType::AddressUnknown), "{error}");
                Ok(())
            }
            Err(error) => bail!(error),
        }
    })?
}
