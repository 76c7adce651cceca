//! Refused channels: each gets a condition with the reason and what to do, and affects no other channel.

use anyhow::{Context, Result, ensure};

use super::release::{Release, SOON, USERS, channel, condition};

pub(crate) fn a_refused_channel_reports_why(release: &Release) -> Result<()> {
    let kubectl = &release.kubectl;
    for (name, spec, reason) in [
        ("thief", "  destinations: [thief]\n  source: orders\n", "SourceTaken"),
        ("double", "  destinations: [orders]\n", "DestinationTaken"),
        ("homeless", "  brokerRef: {name: nowhere}\n", "BrokerNotFound"),
    ] {
        kubectl.apply(&channel(name, spec))?;
        kubectl.until("the reason of the refusal", SOON, &["-n", USERS, "get", "mc", name], |channel| {
            let accepted = condition(channel, "Accepted").context("there is no condition Accepted")?;
            ensure!(accepted["status"] == "False" && accepted["reason"] == reason, "{accepted}");
            ensure!(accepted["message"].as_str().is_some_and(|message| message.len() > 20), "{accepted}");
            let ready = condition(channel, "Ready").context("there is no condition Ready")?;
            ensure!(ready["status"] == "False", "{ready}");
            Ok(())
        })?;
    }
    kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, "messagechannel/orders"])?;
    let refused = kubectl.apply(&channel("Not_A_Label", "")).err().context("an invalid name was accepted")?;
    ensure!(format!("{refused:#}").contains("Not_A_Label"), "{refused:#}");
    let refused = kubectl.apply(&channel("wait", "  delivery: {waitSeconds: 30, maxWaitSeconds: 20}\n"));
    let refused = refused.err().context("a wait above the limit was accepted")?;
    ensure!(format!("{refused:#}").contains("waitSeconds"), "{refused:#}");

    // When the owner of a source is deleted, the other channel gets it.
    let (winner, loser) = two_channels_with_one_source(release)?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, &format!("messagechannel/{winner}")])?;
    kubectl.wait_for("condition=Accepted=False", SOON, &["-n", USERS, &format!("messagechannel/{loser}")])?;
    kubectl.run(&["-n", USERS, "delete", "mc", &winner, "--timeout=60s"])?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, &format!("messagechannel/{loser}")])?;
    kubectl.run(&["-n", USERS, "delete", "mc", &loser, "thief", "double", "homeless", "--timeout=60s"])?;
    Ok(())
}

pub(crate) fn channels_share_a_destination_only_if_all_of_them_allow_it(release: &Release) -> Result<()> {
    let kubectl = &release.kubectl;
    // orders is older than every channel of this chapter, so it keeps its addresses.
    kubectl.apply(&channel("copy", "  destinations: [orders]\n  sharedDestination: true\n"))?;
    accepted_is(release, "copy", "False", "DestinationTaken")?;
    kubectl.apply(&channel("orders", "  sharedDestination: true\n"))?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, "messagechannel/copy"])?;
    kubectl.apply(&channel("orders", ""))?;
    accepted_is(release, "copy", "False", "DestinationTaken")?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, "messagechannel/orders"])?;
    kubectl.run(&["-n", USERS, "delete", "mc", "copy", "--timeout=60s"])?;
    Ok(())
}

pub(crate) fn a_missing_dead_letter_channel_is_reported_and_stops_no_channel(
    release: &Release,
) -> Result<()> {
    let kubectl = &release.kubectl;
    let to = |name: &str| format!("  deadLetter: {{channelRef: {{name: {name}}}}}\n");
    kubectl.apply(&channel("work", &to("work-dead")))?;
    accepted_is(release, "work", "False", "DeadLetterNotFound")?;
    kubectl.wait_for("condition=Programmed", SOON, &["-n", USERS, "messagechannel/work"])?;
    // An explicit null means no dead-letter channel.
    kubectl.apply(&channel("work-dead", "  deadLetter: {channelRef: null}\n"))?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, "messagechannel/work"])?;

    kubectl.apply(&channel("work-dead", &to("work")))?;
    kubectl.until(
        "one channel of the circle to report it",
        SOON,
        &["-n", USERS, "get", "mc"],
        |channels| {
            let channels = channels["items"].as_array().context("there are no channels")?;
            let accepted = channels.iter().filter_map(|channel| condition(channel, "Accepted"));
            let reported = accepted.filter(|accepted| accepted["reason"] == "DeadLetterCycle").count();
            ensure!(reported == 1, "{reported} channels report it");
            Ok(())
        },
    )?;
    kubectl.run(&["-n", USERS, "delete", "mc", "work-dead", "--timeout=60s"])?;
    accepted_is(release, "work", "False", "DeadLetterNotFound")?;
    kubectl.wait_for("condition=Programmed", SOON, &["-n", USERS, "messagechannel/work"])?;

    let refused = kubectl
        .apply(&channel("work", &to("work")))
        .err()
        .context("a channel was accepted as its own dead-letter channel")?;
    ensure!(format!("{refused:#}").contains("another channel"), "{refused:#}");
    let refused = kubectl.apply(&channel("work", "  durability: Memory\n"));
    let refused = refused.err().context("a changed durability was accepted")?;
    ensure!(format!("{refused:#}").contains("durability is immutable"), "{refused:#}");
    kubectl.run(&["-n", USERS, "delete", "mc", "work", "--timeout=60s"])?;
    Ok(())
}

/// Waits for a status and reason of a channel's condition Accepted.
fn accepted_is(release: &Release, name: &str, status: &str, reason: &str) -> Result<()> {
    let words = ["-n", USERS, "get", "mc", name];
    release.kubectl.until(&format!("{name} to be {reason}"), SOON, &words, |channel| {
        let accepted = condition(channel, "Accepted").context("there is no condition Accepted")?;
        ensure!(accepted["status"] == status && accepted["reason"] == reason, "{accepted}");
        Ok(())
    })
}

/// Creates two channels with the same source, and returns winner and loser. The older one wins. Kubernetes' timestamps
/// have seconds; within one second, the smaller UID wins.
fn two_channels_with_one_source(release: &Release) -> Result<(String, String)> {
    let kubectl = &release.kubectl;
    let mut rank = Vec::new();
    for name in ["first", "second"] {
        kubectl.apply(&channel(name, "  source: prize\n"))?;
        let metadata = kubectl.json(&["-n", USERS, "get", "mc", name])?["metadata"].take();
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        rank.push((text("creationTimestamp"), text("uid"), name.to_owned()));
    }
    rank.sort();
    let [(.., winner), (.., loser)]: [_; 2] = rank.try_into().expect("there are two");
    Ok((winner, loser))
}
