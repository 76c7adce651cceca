//! Whose an object is that has a child's name: nothing that is another's is touched.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{brokers::controller, objects, process::Operator};
use crate::shared;

fn stranger(kind: &str, name: &str) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    match kind {
        "Service" => object["spec"] = json!({"selector": {"app": "shop"}, "ports": [{"port": 80}]}),
        "Secret" => object["stringData"] = json!({"token": "a stranger's"}),
        _ => {}
    }
    object
}

/// The command between these words and the next back tick.
fn command<'a>(message: &'a str, before: &str) -> Result<Vec<&'a str>> {
    let command = message.split(before).nth(1).and_then(|rest| rest.split('`').nth(1));
    let command = command.with_context(|| format!("there is no command in {message}"))?;
    Ok(command.strip_prefix("kubectl ").context("it is kubectl's")?.split(' ').collect())
}

#[test]
fn a_stranger_s_service_is_left_alone_until_the_told_command_hands_it_over() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-service", &[])?;
    operator.apply(&stranger("Service", "restante-mine"))?;
    let before = operator.get("service/restante-mine")?;
    operator.apply_broker("mine", "")?;
    let message = operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    ensure!(message.contains("Service restante-mine"), "{message}");
    ensure!(operator.get("service/restante-mine")? == before, "the stranger's Service was written");
    operator.until_event("mine", "NameTaken")?;
    operator.kubectl().run(&command(&message, "hand it over")?)?;
    operator.until_ready("mine")?;
    operator.until_event("mine", "Adopted")?;
    let after = operator.get("service/restante-mine")?;
    ensure!(after["metadata"]["uid"] == before["metadata"]["uid"]);
    ensure!(controller(&after).context("it has no controller")?["name"] == "mine");
    Ok(())
}

#[test]
fn a_stranger_s_secret_is_never_used_and_its_removal_is_answered() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-secret", &[])?;
    operator.apply(&stranger("Secret", "restante-mine-control"))?;
    let before = operator.get("secret/restante-mine-control")?;
    operator.apply_broker("mine", "")?;
    let message = operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    ensure!(operator.get("secret/restante-mine-control")? == before, "the stranger's Secret was written");
    let sets = operator.run(&["get", "statefulsets", "-o", "name"])?;
    ensure!(sets.is_empty(), "pods would have the stranger's token: {sets}");
    operator.kubectl().run(&command(&message, "delete it")?)?;
    operator.until_ready("mine")?;
    let after = operator.get("secret/restante-mine-control")?;
    ensure!(after["data"]["token"] != before["data"]["token"]);
    Ok(())
}

#[test]
fn a_deleted_broker_leaves_the_objects_of_strangers() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-stays", &[])?;
    operator.apply(&stranger("ServiceAccount", "restante-mine"))?;
    let before = operator.get("serviceaccount/restante-mine")?;
    operator.apply_broker("mine", "")?;
    operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    operator.run(&["delete", "messagebroker", "mine", "--cascade=foreground", "--timeout=60s"])?;
    ensure!(operator.get("serviceaccount/restante-mine")? == before);
    Ok(())
}

#[test]
fn a_broker_cannot_be_called_as_another_broker_s_objects_are() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    for name in ["main-headless", "main-control"] {
        let refused = cluster.kubectl().apply(&objects::broker("default", name, "")).err();
        let refused = format!("{:#}", refused.with_context(|| format!("{name} was taken"))?);
        ensure!(refused.contains("must not end with -headless or -control"), "{refused}");
    }
    Ok(())
}

#[test]
fn children_without_owner_references_are_adopted_and_run_on() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "adopts", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let pod = operator.get("pod/restante-main-0")?;
    // As a restore leaves them.
    let children = [
        "serviceaccount/restante-main",
        "secret/restante-main-control",
        "service/restante-main-headless",
        "service/restante-main",
        "statefulset/restante-main",
    ];
    for child in children {
        operator.patch(child, &json!({"metadata": {"ownerReferences": null}}))?;
    }
    for child in children {
        operator.until("it to be adopted", child, |object| {
            ensure!(controller(object).context("it has no controller")?["name"] == "main");
            Ok(())
        })?;
    }
    operator.until_event("main", "Adopted")?;
    let now = operator.get("pod/restante-main-0")?;
    ensure!(now["metadata"]["uid"] == pod["metadata"]["uid"], "the pod was made anew");
    Ok(())
}

#[test]
fn a_child_that_was_restored_without_owner_and_deleted_while_the_operator_was_away_is_made_anew() -> Result<()>
{
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "restored", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.stop()?;
    operator.patch("statefulset/restante-main", &json!({"metadata": {"ownerReferences": null}}))?;
    let operator = Operator::start_again(cluster, "restored", &[])?;
    operator.until_event("main", "Adopted")?;
    operator.run(&["delete", "statefulset", "restante-main"])?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    Ok(())
}

#[test]
fn a_broker_that_is_deleted_takes_children_along_that_just_lost_their_owner() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "leaves-nothing", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let children = ["secret/restante-main-control", "service/restante-main", "statefulset/restante-main"];
    for child in children {
        operator.patch(child, &json!({"metadata": {"ownerReferences": null}}))?;
    }
    operator.run(&["delete", "messagebroker", "main", "--timeout=60s"])?;
    for child in children {
        operator.until_gone(child)?;
    }
    operator.get("pvc/data-restante-main-0").context("the claim is kept").map(drop)
}

#[test]
fn children_that_were_to_stay_stay_and_are_adopted_by_the_next_of_the_name() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "cascade-orphan", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let pod = operator.get("pod/restante-main-0")?;
    operator.run(&["delete", "messagebroker", "main", "--cascade=orphan", "--timeout=60s"])?;
    // Those that are gone are looked for every two seconds.
    restante_tests::wait::until("the operator to have seen it", super::process::SOON, || {
        ensure!(operator.log().contains("the MessageBroker is gone"), "{}", operator.log());
        Ok(())
    })?;
    operator.broker_becomes_ready("main", "")?;
    operator.until_event("main", "Adopted")?;
    let now = operator.get("pod/restante-main-0")?;
    ensure!(now["metadata"]["uid"] == pod["metadata"]["uid"], "the pod was made anew");
    Ok(())
}

#[test]
fn what_an_edit_leaves_out_is_taken_away_again() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "leaves-out", &[])?;
    operator.apply_broker("main", "  template: {serviceAccountAnnotations: {role: reader}}\n")?;
    let account = "serviceaccount/restante-main";
    operator.until("the annotation to be there", account, |account| {
        ensure!(account["metadata"]["annotations"]["role"] == "reader", "{account}");
        Ok(())
    })?;
    operator.apply_broker("main", "")?;
    operator.until("the annotation to be gone", account, |account| {
        ensure!(account["metadata"]["annotations"].get("role").is_none(), "{account}");
        Ok(())
    })
}

#[test]
fn a_broker_of_another_namespace_is_left_alone() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let operator = Operator::start(cluster, "own-namespace", &[])?;
    let kubectl = operator.kubectl();
    kubectl.run(&["create", "namespace", "unserved"])?;
    kubectl.apply(&objects::broker("unserved", "main", ""))?;
    let words = ["-n", "unserved", "get", "messagebroker", "main"];
    let before = kubectl.json(&words)?;
    // What came later was seen, and so was this.
    operator.broker_becomes_ready("main", "")?;
    ensure!(kubectl.json(&words)? == before);
    let events = kubectl.run(&["-n", "unserved", "get", "events", "-o", "name"])?;
    ensure!(events.is_empty(), "{events}");
    Ok(())
}
