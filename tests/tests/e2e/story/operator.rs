//! The operator: its restart changes nothing, it reverts changes to child objects, and it sends edits to the broker.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use restante_client::{Message, ProblemType, SendError};
use restante_tests::{client_system::ClientSystem, wait};
use serde_json::Value;

use super::{
    client,
    release::{Release, SOON, SYSTEM, USERS, channel, condition, is_ready},
};

/// All objects that the operator writes, by kind and name.
fn written_objects(release: &Release) -> Result<BTreeMap<String, Value>> {
    let mut written = BTreeMap::new();
    for (namespace, kinds) in
        [(SYSTEM, "messagebrokers,statefulsets,services,serviceaccounts,secrets"), (USERS, "messagechannels")]
    {
        let list = release.kubectl.json(&["-n", namespace, "get", kinds])?;
        for object in list["items"].as_array().into_iter().flatten() {
            let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
            let mut object = object.clone();
            // Managed fields are long, and add nothing to the comparison.
            object["metadata"]["managedFields"].take();
            written.insert(name, object);
        }
    }
    ensure!(written.len() >= 6, "there are too few objects to compare: {written:?}");
    Ok(written)
}

pub(crate) fn a_restarted_operator_changes_nothing(release: &Release) -> Result<()> {
    // Wait until the statuses report the previous chapters. The operator polls the broker's counts every 15 s.
    let words = ["-n", SYSTEM, "get", "messagebroker", "default"];
    release.kubectl.until("the broker to be Ready, with its channel", SOON, &words, |broker| {
        let ready = condition(broker, "Ready").context("there is no condition Ready")?;
        ensure!(ready["status"] == "True" && broker["status"]["channels"] == 1, "{}", broker["status"]);
        Ok(())
    })?;
    // The operator writes the last counts within a minute.
    let words = ["-n", USERS, "get", "mc", "orders"];
    release.kubectl.until("the backlog to be empty again", SOON, &words, |channel| {
        let backlog = &channel["status"]["backlog"];
        ensure!(backlog["ready"] == 0 && backlog["leased"] == 0, "it is {backlog}");
        ensure!(backlog.get("waiting").is_none_or(|waiting| waiting == 0), "it is {backlog}");
        Ok(())
    })?;
    let before = written_objects(release)?;
    let (pod, broker) = (release.operator_pod()?, release.broker_pod()?);
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
    release.kubectl.run(&["-n", SYSTEM, "delete", "pod", name])?;
    let successor = wait::until("the next operator to be ready", SOON, || {
        let next = release.operator_pod()?;
        ensure!(next["metadata"]["uid"] != pod["metadata"]["uid"] && is_ready(&next), "{}", next["status"]);
        Ok(next)
    })?;
    let successor = successor["metadata"]["name"].as_str().context("a pod has a name")?;
    wait::until("the next operator to reconcile every object", SOON, || {
        let metrics = release.admin(successor, "/metrics")?;
        for kind in ["MessageBroker", "MessageChannel"] {
            let series = format!("restante_operator_reconcile_total{{kind=\"{kind}\"}} ");
            ensure!(metrics.lines().any(|line| line.starts_with(&series)), "no {kind} was reconciled");
        }
        Ok(())
    })?;
    let after = written_objects(release)?;
    ensure!(before.keys().eq(after.keys()), "{:?} became {:?}", before.keys(), after.keys());
    for (name, before) in &before {
        let (before, after) = (before.to_string(), after[name].to_string());
        ensure!(before == after, "the restart changed {name}:\n{before}\nbecame\n{after}");
    }
    ensure!(
        release.broker_pod()?["metadata"]["uid"] == broker["metadata"]["uid"],
        "the broker was restarted"
    );
    Ok(())
}

pub(crate) fn changes_to_child_objects_are_reverted(release: &Release) -> Result<()> {
    let kubectl = &release.kubectl;
    let words = ["-n", SYSTEM, "get", "service", "restante-default"];
    let ports = |service: &Value| service["spec"]["ports"][0]["port"].clone();
    ensure!(ports(&kubectl.json(&words)?) == 8080);
    let patch = r#"[{"op": "replace", "path": "/spec/ports/0/port", "value": 9090}]"#;
    kubectl.run(&["-n", SYSTEM, "patch", "service", "restante-default", "--type=json", "-p", patch])?;
    kubectl.until("the port to be reverted", SOON, &words, |service| {
        ensure!(ports(service) == 8080, "the ports are {}", service["spec"]["ports"]);
        Ok(())
    })
}

pub(crate) fn an_edited_channel_is_applied_without_a_restart(
    release: &Release,
    sender: &ClientSystem,
) -> Result<()> {
    let (broker, pod) = (release.service()?, release.broker_pod()?);
    let push = move || async move {
        match client::sender(broker, "acme/orders")?.send(Message::new(vec![0; 2000])).await {
            Ok(_) => Ok(true),
            Err(SendError::Failed(error)) if is_too_large(&error) => Ok(false),
            Err(error) => bail!(error),
        }
    };
    release.kubectl.apply(&channel("orders", "  limits: {messageBytes: 1000}\n"))?;
    wait_until_programmed(release)?;
    ensure!(!sender.run(push)??, "a message above the new limit was accepted");
    release.kubectl.apply(&channel("orders", "  limits: {messageBytes: 3000}\n"))?;
    wait_until_programmed(release)?;
    ensure!(sender.run(push)??, "a message below the new limit was refused");
    let now = release.broker_pod()?;
    ensure!(now["metadata"]["uid"] == pod["metadata"]["uid"], "the broker was restarted");
    ensure!(now["status"]["containerStatuses"][0]["restartCount"] == 0, "the broker was restarted");
    Ok(())
}

fn is_too_large(error: &restante_client::RequestError) -> bool {
    error.problem_type() == Some(ProblemType::MessageTooLarge)
}

/// Waits until the broker has the current spec of the channel.
fn wait_until_programmed(release: &Release) -> Result<()> {
    let words = ["-n", USERS, "get", "mc", "orders"];
    release.kubectl.until("the edit to be programmed", SOON, &words, |channel| {
        let programmed = condition(channel, "Programmed").context("there is no condition Programmed")?;
        ensure!(programmed["status"] == "True", "{programmed}");
        ensure!(programmed["observedGeneration"] == channel["metadata"]["generation"], "{programmed}");
        Ok(())
    })
}
