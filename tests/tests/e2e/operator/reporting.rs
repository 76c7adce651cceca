//! The operator reports the state of a channel correctly and only once, and keeps conditions of other managers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use restante_tests::{command::run_with_input, wait};
use serde_json::Value;

use super::{
    objects::{channel, condition, condition_is, version},
    process::{CHANNEL_WRITES, Operator, SOON},
};
use crate::shared;

/// Limit of waits for Stalled, which is set after two minutes.
const STALLED_WITHIN: Duration = Duration::from_secs(120 + SOON.as_secs());

#[test]
fn an_object_without_an_operator_is_pending() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let kubectl = cluster.kubectl();
    kubectl.run(&["create", "namespace", "pending"])?;
    kubectl.apply(&channel("pending", "orders", ("pending", "main"), ""))?;
    let table = kubectl.run(&["-n", "pending", "get", "mc", "orders", "-o", "wide"])?;
    ensure!(table.contains("Unknown") && table.contains("Pending"), "{table}");
    kubectl.wait_for("condition=Ready=Unknown", SOON, &["-n", "pending", "messagechannel/orders"])
}

#[test]
fn the_condition_of_another_field_manager_stays_and_causes_no_write() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "foreign", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("foreign", "orders", "main", "")?;
    let kubectl = cluster.kubectl();
    let words = ["-n", "foreign", "get", "mc", "orders"];
    kubectl.until("the first counts, which are one write", SOON, &words, |channel| {
        ensure!(channel["status"]["backlog"].is_object(), "{}", channel["status"]);
        Ok(())
    })?;
    let manifest = "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {name: orders, namespace: foreign}\n\
                    status: {conditions: [{type: example.com/Audited, status: 'True', reason: Audited, message: '', \
                    lastTransitionTime: '2026-01-01T00:00:00Z'}]}\n";
    let apply = ["apply", "--server-side", "--subresource=status", "--field-manager=auditor", "-f", "-"];
    operator.reconciles_after(|| run_with_input(kubectl.command().args(apply), manifest).map(drop))?;
    let writes = operator.metric(CHANNEL_WRITES)?;
    for edit in ["edit=one", "edit=two", "edit=three"] {
        let mut edited = Value::Null;
        operator.reconciles_after(|| {
            edited = kubectl.json(&["-n", "foreign", "annotate", "--overwrite", "mc", "orders", edit])?;
            Ok(())
        })?;
        let channel = kubectl.json(&words)?;
        ensure!(version(&channel)? == version(&edited)?, "an operator wrote to the channel: {channel:#}");
    }
    // Count the writes too: a write without a change keeps the resourceVersion.
    let more = operator.metric(CHANNEL_WRITES)? - writes;
    ensure!(more == 0.0, "the status was written {more} times");
    // A changed status, and the status of a blocked deletion, are written without the other manager's condition.
    let pause = "{\"spec\": {\"paused\": true}}";
    operator.send("main", "foreign/orders", "one")?;
    kubectl.run(&["-n", "foreign", "patch", "mc", "orders", "--type=merge", "-p", pause])?;
    kubectl.until("the channel to report the pause", SOON, &words, |channel| {
        condition_is(channel, "Ready", "True", "Paused")?;
        condition_is(channel, "example.com/Audited", "True", "Audited").map(drop)
    })?;
    kubectl.run(&["-n", "foreign", "delete", "mc", "orders", "--wait=false"])?;
    let words = [&words[..], &["--show-managed-fields"]].concat();
    kubectl.until("the deletion to be blocked", SOON, &words, |channel| {
        condition_is(channel, "DeletionBlocked", "True", "NotEmpty")?;
        let managers = channel["metadata"]["managedFields"].as_array().context("there are none")?;
        let ours = managers
            .iter()
            .find(|one| one["manager"] == "restante-operator" && one["subresource"] == "status");
        ensure!(
            !ours.context("the operator wrote no status")?.to_string().contains("Audited"),
            "the operator took over the condition"
        );
        condition_is(channel, "example.com/Audited", "True", "Audited").map(drop)
    })
}

fn created(object: &Value) -> Result<String> {
    Ok(object["metadata"]["creationTimestamp"].as_str().context("an object has a time")?.to_owned())
}

#[test]
fn two_conflicts_are_two_events_each_with_its_winner() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "conflicts", &[])?;
    operator.broker_becomes_ready("main", "")?;
    for name in ["bills", "orders"] {
        operator.channel_becomes_ready("conflicts", name, "main", "")?;
    }
    let kubectl = cluster.kubectl();
    // Channels of the same second are ordered by UID, so wait for the next second.
    let youngest = created(&kubectl.json(&["-n", "conflicts", "get", "mc", "orders"])?)?;
    let clock = ["-n", "conflicts", "create", "configmap", "clock", "--dry-run=server"];
    kubectl.until("the next second", SOON, &clock, |now| {
        ensure!(created(now)? > youngest, "it is still {youngest}");
        Ok(())
    })?;
    for winner in ["bills", "orders"] {
        let spec = format!("  source: {winner}\n");
        kubectl.apply(&channel("conflicts", "thief", ("conflicts", "main"), &spec))?;
        kubectl.until(
            "the channel to report the conflict",
            SOON,
            &["-n", "conflicts", "get", "mc", "thief"],
            |channel| {
                let message = condition_is(channel, "Accepted", "False", "SourceTaken")?;
                ensure!(message.contains(&format!("conflicts/{winner}")), "the message is {message}");
                Ok(())
            },
        )?;
        let words = ["-n", "conflicts", "get", "events.v1.events.k8s.io"];
        kubectl.until(&format!("the event with {winner}"), SOON, &words, |events| {
            let events = events["items"].as_array().context("there is no list")?;
            let is_it =
                |event: &&Value| event["reason"] == "SourceTaken" && event["related"]["name"] == winner;
            let event = events.iter().find(is_it).context("no such event")?;
            let note = event["note"].as_str().context("an event has a note")?;
            ensure!(note.contains(&format!("conflicts/{winner}")), "the note is {note}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn the_smaller_uid_wins_a_conflict_of_the_same_second_and_the_condition_says_so() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "same-second", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let kubectl = cluster.kubectl();
    let twins =
        ["one", "two"].map(|name| channel("same-second", name, ("same-second", "main"), "  source: same\n"));
    let words = ["-n", "same-second", "get", "mc"];
    // Create them until both have the same second.
    wait::until("two channels of the same second", SOON, || {
        kubectl.run(&["-n", "same-second", "delete", "mc", "--all"])?;
        kubectl.apply(&twins.join("---\n"))?;
        let channels = kubectl.json(&words)?;
        ensure!(
            created(&channels["items"][0])? == created(&channels["items"][1])?,
            "they have different seconds"
        );
        Ok(())
    })?;
    kubectl.until("the channel to report the conflict", SOON, &words, |channels| {
        let channels = channels["items"].as_array().context("there is no list")?;
        let uid = |one: &&Value| one["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let winner = channels.iter().min_by_key(uid).context("there is one")?;
        let loser = channels.iter().max_by_key(uid).context("there is one")?;
        let message = condition_is(loser, "Accepted", "False", "SourceTaken")?;
        let winner = winner["metadata"]["name"].as_str().unwrap_or_default();
        let reported = format!(
            "taken by MessageChannel same-second/{winner}, which was created in the same second and has the smaller UID"
        );
        ensure!(message.contains(&reported), "the message is {message}");
        Ok(())
    })
}

#[test]
fn a_channel_whose_broker_is_missing_is_stalled_after_two_minutes() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "stalled", &[])?;
    let kubectl = cluster.kubectl();
    kubectl.apply(&channel("stalled", "orders", ("stalled", "main"), ""))?;
    let words = ["-n", "stalled", "get", "mc", "orders"];
    kubectl.until("the channel to report the missing broker", SOON, &words, |channel| {
        condition_is(channel, "Accepted", "False", "BrokerNotFound")?;
        ensure!(condition(channel, "Stalled").is_err(), "the channel is Stalled at once");
        Ok(())
    })?;
    kubectl.wait_for("condition=Stalled", STALLED_WITHIN, &["-n", "stalled", "messagechannel/orders"])?;
    operator.broker_becomes_ready("main", "")?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "stalled", "messagechannel/orders"])?;
    let channel = kubectl.json(&words)?;
    ensure!(condition(&channel, "Stalled").is_err(), "the channel is still Stalled: {}", channel["status"]);
    Ok(())
}

#[test]
fn field_selectors_find_channels() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "selected", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("selected", "orders", "main", "  deletionPolicy: Drain\n")?;
    operator.channel_becomes_ready("selected", "bills", "main", "  paused: true\n  source: invoices\n")?;
    let selected = |selector: &str| {
        let words = ["get", "mc", "-n", "selected", "-o", "name", "--field-selector", selector];
        cluster.kubectl().run(&words).map(|names| names.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let (bills, orders) = ("messagechannel.restante.dev/bills", "messagechannel.restante.dev/orders");
    for (selector, names) in [
        ("spec.brokerRef.namespace=selected,spec.brokerRef.name=main", &[bills, orders][..]),
        ("spec.brokerRef.name=another", &[]),
        ("spec.source=invoices", &[bills]),
        ("status.source=selected/orders", &[orders]),
        ("spec.paused=true", &[bills]),
        ("spec.deletionPolicy=Drain", &[orders]),
    ] {
        let found = selected(selector)?;
        ensure!(found == names, "{selector} finds {found:?}");
    }
    Ok(())
}

#[test]
fn the_column_shows_the_first_of_many_destinations() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "columns", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let spec = "  destinations: [in, second, third, fourth]\n";
    operator.channel_becomes_ready("columns", "orders", "main", spec)?;
    let table = cluster.kubectl().run(&["-n", "columns", "get", "mc", "orders"])?;
    ensure!(table.contains(" columns/in,+3 "), "{table}");
    Ok(())
}
