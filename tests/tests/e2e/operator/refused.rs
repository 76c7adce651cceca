//! The MessageBroker quotes refusals of Kubernetes.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{admission, objects::condition, process::Operator};
use crate::shared;

fn quota(field: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {field: "0"}},
    })
}

#[test]
fn a_quota_that_forbids_an_object_is_reported_with_its_name() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "quota-services", &[])?;
    operator.apply(&quota("services"))?;
    operator.until("the quota to be counted", "resourcequota/none", |quota| {
        ensure!(quota["status"]["hard"]["services"] == "0", "{quota}");
        Ok(())
    })?;
    operator.apply_broker("main", "")?;
    let message = operator.until_condition("main", "Ready", "False", "ApplyFailed")?;
    ensure!(message.contains("Service restante-main-headless"), "{message}");
    ensure!(message.contains("exceeded quota: none"), "{message}");
    operator.until_event("main", "ApplyFailed")?;
    // The operator gets no event when a quota is deleted: it retries.
    operator.run(&["delete", "resourcequota", "none"])?;
    operator.until_condition("main", "Ready", "True", "Ready").map(drop)
}

#[test]
fn a_quota_that_forbids_the_pod_is_reported() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "quota-pods", &[])?;
    operator.apply(&quota("pods"))?;
    operator.until("the quota to be counted", "resourcequota/none", |quota| {
        ensure!(quota["status"]["hard"]["pods"] == "0", "{quota}");
        Ok(())
    })?;
    operator.apply_broker("main", "")?;
    operator.until("the MessageBroker to report the quota", "messagebroker/main", |broker| {
        let message = &condition(broker, "Ready")?["message"];
        ensure!(
            message.as_str().is_some_and(|message| message.contains("exceeded quota: none")),
            "{message}"
        );
        Ok(())
    })
}

#[test]
fn a_limit_range_that_forbids_the_pod_is_reported() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "limit-range", &[])?;
    operator.apply(&json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "16Mi"}}]},
    }))?;
    operator.apply_broker("main", "  template: {resources: {limits: {memory: 1Gi}}}\n")?;
    operator.until("the MessageBroker to report the LimitRange", "messagebroker/main", |broker| {
        let message = &condition(broker, "Ready")?["message"];
        ensure!(
            message.as_str().is_some_and(|message| message.contains("maximum memory usage")),
            "{message}"
        );
        Ok(())
    })
}

#[test]
fn an_invalid_template_is_reported() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "bad-template", &[])?;
    operator.apply_broker("main", "  template: {affinity: {nodeAfinity: {}}}\n")?;
    let message = operator.until_condition("main", "Ready", "False", "ApplyFailed")?;
    ensure!(message.contains("StatefulSet restante-main") && message.contains("nodeAfinity"), "{message}");
    operator.apply_broker("main", "")?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    // A running broker reports it too, and keeps running.
    operator.apply_broker("main", "  template: {labels: {team: a b}}\n")?;
    let message = operator.until_condition("main", "Ready", "False", "ApplyFailed")?;
    ensure!(message.contains("a b"), "{message}");
    // Only an edit helps, so it is Stalled at once.
    operator.until_condition("main", "Stalled", "True", "ApplyFailed")?;
    ensure!(operator.get("statefulset/restante-main")?["status"]["readyReplicas"] == 1);
    Ok(())
}

#[test]
fn a_refused_field_is_reported_with_the_place_to_correct_it() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "correct-where", &[])?;
    let resources = "{requests: {memory: 2Gi}, limits: {memory: 1Gi}}";
    operator.apply_broker("main", &format!("  template: {{resources: {resources}}}\n"))?;
    let message = operator.until_condition("main", "Ready", "False", "ApplyFailed")?;
    ensure!(message.contains("memory limit"), "the API server is not quoted: {message}");
    ensure!(message.ends_with(". Correct spec.template.resources of MessageBroker main"), "{message}");
    // Only an edit helps, so it is Stalled at once.
    operator.until_condition("main", "Stalled", "True", "ApplyFailed")?;
    operator.apply_broker("main", "")?;
    operator.until_ready("main")
}

#[test]
fn a_refused_field_of_the_default_broker_is_reported_with_the_value_to_correct() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "correct-values", &["--default-broker-configmap=recipe"])?;
    let broker = super::objects::broker("correct-values", "main", "  template: {labels: {team: a b}}\n");
    operator.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "recipe"},
        "data": {"broker.yaml": broker},
    }))?;
    let message = operator.until_condition("main", "Ready", "False", "ApplyFailed")?;
    ensure!(message.ends_with(". Correct the values broker.* and run `helm upgrade`"), "{message}");
    Ok(())
}

#[test]
fn a_refusal_by_an_admission_policy_is_quoted() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let kubectl = cluster.kubectl();
    let operator = Operator::start(cluster, "admission", &[])?;
    let rule = json!({
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"],
    });
    admission::deny(&kubectl, "admission", rule, "ask the platform team first")?;
    restante_tests::wait::until("the policy to be in force", super::process::SOON, || {
        let set = ["-n", "admission", "create", "--dry-run=server", "-f", "-"];
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "probe"},
            "spec": {
                "serviceName": "probe",
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            },
        });
        let refused =
            restante_tests::command::run_with_input(kubectl.command().args(set), &manifest.to_string());
        ensure!(
            refused.is_err_and(|error| format!("{error:#}").contains("platform team")),
            "the policy is not in force yet"
        );
        Ok(())
    })?;
    operator.apply_broker("main", "")?;
    let message = operator.until_condition("main", "Ready", "False", "ApplyFailed")?;
    ensure!(message.contains("StatefulSet restante-main"), "{message}");
    ensure!(message.contains("ask the platform team first"), "{message}");
    // The policy may change without an edit, so it is not Stalled at once.
    ensure!(condition(&operator.get("messagebroker/main")?, "Stalled").is_err());
    Ok(())
}

#[test]
fn an_image_that_cannot_be_pulled_is_reported() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "bad-image", &[])?;
    operator.apply_broker(
        "main",
        "  template: {image: 'restante.local/broker:nowhere', imagePullPolicy: Never}\n",
    )?;
    operator.until("the MessageBroker to report the image", "messagebroker/main", |broker| {
        let message = &condition(broker, "Ready")?["message"];
        let reported = message.as_str().is_some_and(|message| {
            message.contains("image restante.local/broker:nowhere of pod restante-main-0 cannot be pulled")
        });
        ensure!(reported, "{message}");
        Ok(())
    })?;
    let note = operator.until_event("main", "ImageNotPulled")?;
    ensure!(note.contains("image restante.local/broker:nowhere"), "{note}");
    operator.apply_broker("main", "")?;
    operator.until_condition("main", "Ready", "True", "Ready").map(drop)
}

#[test]
fn an_unschedulable_pod_and_a_missing_priority_class_are_events() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "no-node", &[])?;
    operator.apply_broker("main", "  template: {nodeSelector: {disk: none}}\n")?;
    let note = operator.until_event("main", "PodNotScheduled")?;
    ensure!(note.contains("pod restante-main-0 is not scheduled"), "{note}");
    operator.apply_broker("other", "  template: {priorityClassName: hihg}\n")?;
    let note = operator.until_event("other", "PodNotCreated")?;
    ensure!(note.contains("hihg"), "{note}");
    Ok(())
}
