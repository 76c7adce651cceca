//! Ownership of objects with the name of a child: the operator changes no object of another owner.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{brokers::controller, objects, process::Operator};
use crate::shared;

fn foreign_object(kind: &str, name: &str) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    match kind {
        "Service" => object["spec"] = json!({"selector": {"app": "shop"}, "ports": [{"port": 80}]}),
        "Secret" => object["stringData"] = json!({"token": "a stranger's"}),
        _ => {}
    }
    object
}

/// The arguments of the `kubectl` command in backquotes that follows the words `before`.
fn command<'a>(message: &'a str, before: &str) -> Result<Vec<&'a str>> {
    let command = message.split(before).nth(1).and_then(|rest| rest.split('`').nth(1));
    let command = command.with_context(|| format!("there is no command in {message}"))?;
    Ok(command.strip_prefix("kubectl ").context("it is kubectl's")?.split(' ').collect())
}

#[test]
fn a_service_of_another_owner_is_unchanged_until_the_reported_command_hands_it_over() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-service", &[])?;
    operator.apply(&foreign_object("Service", "restante-mine"))?;
    let before = operator.get("service/restante-mine")?;
    operator.apply_broker("mine", "")?;
    let message = operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    ensure!(message.contains("Service restante-mine"), "{message}");
    ensure!(operator.get("service/restante-mine")? == before, "the Service of another owner was changed");
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
fn a_secret_of_another_owner_is_never_used_and_its_removal_is_noticed() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-secret", &[])?;
    operator.apply(&foreign_object("Secret", "restante-mine-control"))?;
    let before = operator.get("secret/restante-mine-control")?;
    operator.apply_broker("mine", "")?;
    let message = operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    ensure!(
        operator.get("secret/restante-mine-control")? == before,
        "the Secret of another owner was changed"
    );
    let sets = operator.run(&["get", "statefulsets", "-o", "name"])?;
    ensure!(sets.is_empty(), "pods would have the token of another owner: {sets}");
    operator.kubectl().run(&command(&message, "delete it")?)?;
    operator.until_ready("mine")?;
    let after = operator.get("secret/restante-mine-control")?;
    ensure!(after["data"]["token"] != before["data"]["token"]);
    Ok(())
}

#[test]
fn a_claim_of_another_owner_is_not_written_to_until_the_reported_command_hands_it_over() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-claim", &[])?;
    operator.apply(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "data-restante-mine-0",
            "labels": {"app.kubernetes.io/managed-by": "postgres"},
        },
        "spec": {
            "storageClassName": "local",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }))?;
    let storage = "  engine: {embedded: {storage: {size: 1Gi, storageClassName: local}}}\n";
    operator.apply_broker("mine", storage)?;
    let message = operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    let reported = "PersistentVolumeClaim data-restante-mine-0 belongs to postgres";
    ensure!(message.contains(reported) && !message.contains("delete"), "{message}");
    let sets = operator.run(&["get", "statefulsets,pods", "-o", "name"])?;
    ensure!(sets.is_empty(), "a pod could write to the volume of another owner: {sets}");
    let claim = operator.get("pvc/data-restante-mine-0")?;
    operator.event("stranger-claim", "NameTaken", "mine")?;
    operator.kubectl().run(&command(&message, "hand it over")?)?;
    operator.until_ready("mine")?;
    let after = operator.get("pvc/data-restante-mine-0")?;
    ensure!(after["metadata"]["uid"] == claim["metadata"]["uid"], "another claim took its place");
    Ok(())
}

#[test]
fn a_bound_claim_is_reported_with_the_manager_that_applied_it_and_not_kubernetes() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "claim-maker", &[])?;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-restante-mine-0"},
        "spec": {
            "storageClassName": "local-growing",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    operator.apply(&claim)?;
    operator.until("the claim to be written by Kubernetes as well", "pvc/data-restante-mine-0", |claim| {
        ensure!(claim["status"]["phase"].is_string(), "{claim}");
        Ok(())
    })?;
    // The second apply is later than the binding by Kubernetes.
    let mut claim = claim;
    claim["metadata"]["annotations"] = json!({"note": "mine"});
    operator.apply(&claim)?;
    operator.apply_broker("mine", "")?;
    let message = operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    ensure!(message.contains("belongs to another owner (created with kubectl"), "{message}");
    Ok(())
}

#[test]
fn no_command_is_reported_for_an_object_that_cannot_be_handed_over() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-fixed", &[])?;
    let mut secret = foreign_object("Secret", "restante-mine-control");
    secret["immutable"] = json!(true);
    operator.apply(&secret)?;
    operator.apply(&foreign_object("Service", "restante-mine-headless"))?;
    operator.apply_broker("mine", "")?;
    let message = operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    ensure!(!message.contains(" label "), "{message}");
    for cure in message.split("; ") {
        operator.kubectl().run(&command(cure, "delete it")?)?;
    }
    operator.until_ready("mine")
}

#[test]
fn a_name_that_stays_taken_is_stalled_after_two_minutes() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-lasts", &[])?;
    operator.apply(&foreign_object("ServiceAccount", "restante-mine"))?;
    operator.apply_broker("mine", "")?;
    operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    let broker = operator.get("messagebroker/mine")?;
    ensure!(
        objects::condition(&broker, "Stalled").is_err(),
        "the broker is Stalled at once: {}",
        broker["status"]
    );
    let words = ["-n", "stranger-lasts", "wait", "mb/mine", "--for=condition=Stalled", "--timeout=200s"];
    operator.kubectl().run(&words)?;
    operator.until_condition("mine", "Stalled", "True", "NameTaken")?;
    operator.run(&["delete", "serviceaccount", "restante-mine"])?;
    operator.until_ready("mine")?;
    let broker = operator.get("messagebroker/mine")?;
    ensure!(
        objects::condition(&broker, "Stalled").is_err(),
        "the broker is still Stalled: {}",
        broker["status"]
    );
    Ok(())
}

#[test]
fn a_deleted_broker_leaves_the_objects_of_other_owners() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "stranger-stays", &[])?;
    operator.apply(&foreign_object("ServiceAccount", "restante-mine"))?;
    let before = operator.get("serviceaccount/restante-mine")?;
    operator.apply_broker("mine", "")?;
    operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    operator.run(&["delete", "messagebroker", "mine", "--cascade=foreground", "--timeout=60s"])?;
    ensure!(operator.get("serviceaccount/restante-mine")? == before);
    Ok(())
}

#[test]
fn a_broker_cannot_have_the_name_of_another_brokers_object() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    for name in ["main-headless", "main-control"] {
        let refused = cluster.kubectl().apply(&objects::broker("default", name, "")).err();
        let refused = format!("{:#}", refused.with_context(|| format!("{name} was accepted"))?);
        ensure!(refused.contains("must not end with -headless or -control"), "{refused}");
    }
    Ok(())
}

#[test]
fn children_without_owner_references_are_adopted_and_keep_running() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "adopts", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let pod = operator.get("pod/restante-main-0")?;
    // Remove the owner references, like a restore. The operator is stopped: if a child lost its owner between the read
    // and the write of one reconcile, the operator would set it again like any other field, without an event.
    operator.stop()?;
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
    let operator = Operator::start_again(cluster, "adopts", &[])?;
    for child in children {
        operator.until("the child to be adopted", child, |object| {
            ensure!(controller(object).context("it has no controller")?["name"] == "main");
            Ok(())
        })?;
    }
    operator.until_notes("Adopted", children.len())?;
    let now = operator.get("pod/restante-main-0")?;
    ensure!(now["metadata"]["uid"] == pod["metadata"]["uid"], "the pod was replaced");
    Ok(())
}

#[test]
fn each_child_whose_name_is_taken_has_an_event_of_its_own() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "taken-in-turn", &[])?;
    operator.apply(&foreign_object("ServiceAccount", "restante-mine"))?;
    operator.apply(&foreign_object("Service", "restante-mine"))?;
    operator.apply_broker("mine", "")?;
    operator.until_condition("mine", "Ready", "False", "NameTaken")?;
    operator.run(&["delete", "serviceaccount", "restante-mine"])?;
    operator.until_notes("NameTaken", 2).map(drop)
}

#[test]
fn a_child_restored_without_owner_and_deleted_during_an_operator_outage_is_created_again() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
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
fn a_deleted_broker_takes_along_children_that_just_lost_their_owner() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
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
    operator.get("pvc/data-restante-main-0").context("the claim was deleted").map(drop)
}

#[test]
fn orphaned_children_stay_and_the_next_broker_of_the_name_adopts_them() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "cascade-orphan", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let pod = operator.get("pod/restante-main-0")?;
    operator.run(&["delete", "messagebroker", "main", "--cascade=orphan", "--timeout=60s"])?;
    // The operator looks for deleted MessageBrokers every two seconds.
    restante_tests::wait::until("the operator to notice the deletion", super::process::SOON, || {
        ensure!(operator.log().contains("the MessageBroker does not exist any more"), "{}", operator.log());
        Ok(())
    })?;
    operator.broker_becomes_ready("main", "")?;
    operator.until_event("main", "Adopted")?;
    let now = operator.get("pod/restante-main-0")?;
    ensure!(now["metadata"]["uid"] == pod["metadata"]["uid"], "the pod was replaced");
    Ok(())
}

#[test]
fn fields_that_an_edit_removes_are_removed_from_the_children() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "leaves-out", &[])?;
    operator.apply_broker("main", "  template: {serviceAccountAnnotations: {role: reader}}\n")?;
    let account = "serviceaccount/restante-main";
    operator.until("the annotation to be set", account, |account| {
        ensure!(account["metadata"]["annotations"]["role"] == "reader", "{account}");
        Ok(())
    })?;
    operator.apply_broker("main", "")?;
    operator.until("the annotation to be removed", account, |account| {
        ensure!(account["metadata"]["annotations"].get("role").is_none(), "{account}");
        Ok(())
    })
}

#[test]
fn a_broker_of_another_namespace_is_unchanged() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "own-namespace", &[])?;
    let kubectl = operator.kubectl();
    kubectl.run(&["create", "namespace", "unserved"])?;
    kubectl.apply(&objects::broker("unserved", "main", ""))?;
    let words = ["-n", "unserved", "get", "messagebroker", "main"];
    let before = kubectl.json(&words)?;
    // The operator has served a later MessageBroker, so it has seen the other one.
    operator.broker_becomes_ready("main", "")?;
    ensure!(kubectl.json(&words)? == before);
    let events = kubectl.run(&["-n", "unserved", "get", "events", "-o", "name"])?;
    ensure!(events.is_empty(), "{events}");
    Ok(())
}
