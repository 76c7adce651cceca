//! A MessageBroker is Ready when pods with its current spec run, and it reports a replaced store.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{objects::condition_is, process::Operator};
use crate::shared;

#[test]
fn an_edited_broker_is_ready_only_with_its_new_pod() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "rollout", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.apply_broker("main", "  keepAliveSeconds: 700\n")?;
    operator.until_ready("main")?;
    let pod = operator.get("pod/restante-main-0")?;
    let flags = pod["spec"]["containers"][0]["args"].to_string();
    ensure!(flags.contains("--keep-alive=700"), "Ready was True with the earlier pod: {flags}");
    let conditions = pod["status"]["conditions"].as_array().context("the pod has conditions")?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    ensure!(ready.is_some_and(|ready| ready["status"] == "True"), "the new pod is not ready: {ready:?}");
    Ok(())
}

#[test]
fn a_broker_whose_volume_was_replaced_says_so_until_the_store_is_accepted() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "store-replaced", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let first = operator.until("the status to have the store's id", "messagebroker/main", |broker| {
        condition_is(broker, "StoreReplaced", "False", "SameStore")?;
        Ok(broker["status"]["storeID"].as_str().context("there is no storeID")?.to_owned())
    })?;
    let claim = operator.get("pvc/data-restante-main-0")?;
    operator.run(&["delete", "pvc/data-restante-main-0", "--wait=false"])?;
    operator.run(&["delete", "pod/restante-main-0"])?;
    let message = operator.until_condition("main", "StoreReplaced", "True", "AnotherStore")?;
    ensure!(message.contains(&format!("instead of {first}")), "{message}");
    operator.until_event("main", "AnotherStore")?;
    operator.until("the new claim to exist", "pvc/data-restante-main-0", |now| {
        ensure!(now["metadata"]["uid"] != claim["metadata"]["uid"]);
        Ok(())
    })?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    let broker = operator.get("messagebroker/main")?;
    ensure!(broker["status"]["storeID"] == first.as_str(), "the status lost the known store");
    let wrong = format!("restante.dev/accept-store={first}x");
    operator.run(&["annotate", "messagebroker/main", &wrong])?;
    operator.until("the wrong id to be reported", "messagebroker/main", |broker| {
        let message = condition_is(broker, "StoreReplaced", "True", "AnotherStore")?;
        ensure!(message.contains("is ignored"), "{message}");
        Ok(())
    })?;
    let command = message.split('`').nth(1).context("there is no command")?;
    let words: Vec<_> = command.split(' ').skip(1).collect();
    operator.kubectl().run(&words)?;
    operator.until("the store to be accepted", "messagebroker/main", |broker| {
        let replaced = super::objects::condition(broker, "StoreReplaced")?;
        ensure!(replaced["status"] == "False", "{replaced}");
        ensure!(
            message
                .contains(&format!("has store {}", broker["status"]["storeID"].as_str().unwrap_or("none")))
        );
        Ok(())
    })
}

#[test]
fn conditions_of_other_managers_stay_and_cause_no_writes() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "foreign-conditions", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.until("the status to have the store's id", "messagebroker/main", |broker| {
        ensure!(broker["status"]["channels"] == 0, "{}", broker["status"]);
        Ok(())
    })?;
    let writes = operator.metric("restante_operator_status_writes_total")?;
    let other = json!({
        "apiVersion": "restante.dev/v1alpha1",
        "kind": "MessageBroker",
        "metadata": {"name": "main", "namespace": "foreign-conditions"},
        "status": {"conditions": [{
            "type": "BackedUp", "status": "True", "reason": "Nightly", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    });
    let words = ["apply", "--server-side", "--subresource=status", "--field-manager=backup", "-f", "-"];
    restante_tests::command::run_with_input(operator.kubectl().command().args(words), &other.to_string())?;
    // Trigger a reconcile after that.
    operator.patch("service/restante-main", &json!({"metadata": {"ownerReferences": null}}))?;
    operator.until_event("main", "Adopted")?;
    let broker = operator.get("messagebroker/main")?;
    condition_is(&broker, "BackedUp", "True", "Nightly")?;
    let now = operator.metric("restante_operator_status_writes_total")?;
    ensure!(now == writes, "{} statuses were written", now - writes);
    Ok(())
}

#[test]
fn the_pod_has_the_fields_of_the_template() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "template", &[])?;
    operator.broker_becomes_ready(
        "main",
        "  template:\n    labels: {team: mail}\n    annotations: {note: 'a b'}\n    \
         nodeSelector: {kubernetes.io/os: linux}\n    tolerations: [{key: disk, operator: Exists}]\n    \
         priorityClassName: system-cluster-critical\n    imagePullSecrets: [{name: pull}]\n    \
         affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: \
         {matchExpressions: [{key: disk, operator: Exists}]}}]}}\n    topologySpreadConstraints: [{maxSkew: 1, \
         topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]\n    securityContext: {runAsGroup: 65532}\n",
    )?;
    let pod = operator.get("pod/restante-main-0")?;
    let spec = &pod["spec"];
    ensure!(pod["metadata"]["labels"]["team"] == "mail" && pod["metadata"]["annotations"]["note"] == "a b");
    ensure!(
        spec["nodeSelector"]["kubernetes.io/os"] == "linux" && spec["imagePullSecrets"][0]["name"] == "pull"
    );
    ensure!(spec["priorityClassName"] == "system-cluster-critical");
    ensure!(spec["affinity"]["nodeAffinity"].is_object(), "{spec}");
    ensure!(spec["topologySpreadConstraints"][0]["topologyKey"] == "zone", "{spec}");
    Ok(())
}

#[test]
fn the_pod_names_no_user_if_the_cluster_assigns_one() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "users", &["--broker-users=cluster"])?;
    operator.apply_broker("main", "")?;
    operator.until("the StatefulSet to exist", "statefulset/restante-main", |set| {
        let security = &set["spec"]["template"]["spec"]["securityContext"];
        ensure!(security["runAsNonRoot"] == true && security.get("runAsUser").is_none(), "{security}");
        ensure!(security.get("fsGroup").is_none() && security.get("runAsGroup").is_none(), "{security}");
        Ok(())
    })
}
