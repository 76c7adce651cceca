//! The default MessageBroker: it follows its ConfigMap without a restart of the operator.

use anyhow::{Context, Result, ensure};
use restante_tests::wait;
use serde_json::json;

use super::{
    objects::{condition, condition_is},
    process::{Operator, SOON},
};
use crate::shared;

const FLAG: &str = "--default-broker-configmap=recipe";
const BROKER: &str = "messagebroker/main";

/// A ConfigMap whose MessageBroker has these further lines in its spec, indented by two.
fn config_map(namespace: &str, spec: &str) -> serde_json::Value {
    let broker = super::objects::broker(namespace, "main", spec);
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "recipe", "namespace": namespace},
        "data": {"broker.yaml": broker},
    })
}

/// Starts an operator, creates its ConfigMap, and waits for the default broker.
fn start(namespace: &str) -> Result<Option<Operator>> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(None) };
    let operator = Operator::start(cluster, namespace, &[FLAG])?;
    operator.apply(&config_map(namespace, "  keepAliveSeconds: 700\n"))?;
    keep_alive_is(&operator, 700)?;
    Ok(Some(operator))
}

fn keep_alive_is(operator: &Operator, seconds: i64) -> Result<()> {
    wait::until("the default broker to follow its ConfigMap", SOON, || {
        let broker = operator.get(BROKER)?;
        ensure!(broker["spec"]["keepAliveSeconds"] == seconds, "{}", broker["spec"]);
        Ok(())
    })
}

#[test]
fn a_deleted_default_broker_is_created_again_at_once() -> Result<()> {
    let Some(operator) = start("default-deleted")? else { return Ok(()) };
    let uid = operator.get(BROKER)?["metadata"]["uid"].clone();
    operator.run(&["delete", BROKER, "--timeout=60s"])?;
    keep_alive_is(&operator, 700)?;
    ensure!(operator.get(BROKER)?["metadata"]["uid"] != uid);
    operator.until_condition("main", "Ready", "True", "Ready").map(drop)
}

#[test]
fn a_manual_edit_of_the_default_broker_is_reverted_at_once() -> Result<()> {
    let Some(operator) = start("default-edited")? else { return Ok(()) };
    operator.patch(BROKER, &json!({"spec": {"keepAliveSeconds": 5}}))?;
    keep_alive_is(&operator, 700)
}

#[test]
fn an_edit_of_the_config_map_is_applied_without_a_restart() -> Result<()> {
    let Some(operator) = start("default-recipe")? else { return Ok(()) };
    operator.apply(&config_map("default-recipe", "  keepAliveSeconds: 800\n"))?;
    keep_alive_is(&operator, 800)
}

#[test]
fn a_refusal_of_the_default_broker_is_reported_on_the_config_map_and_on_the_broker() -> Result<()> {
    let Some(operator) = start("default-refused")? else { return Ok(()) };
    operator.apply(&config_map("default-refused", "  keepAliveSeconds: 0\n"))?;
    for object in ["recipe", "main"] {
        let note = operator.until_event(object, "DefaultBrokerRefused")?;
        ensure!(note.contains("keepAliveSeconds"), "{note}");
    }
    operator.apply(&config_map("default-refused", "  keepAliveSeconds: 900\n"))?;
    keep_alive_is(&operator, 900)
}

#[test]
fn refused_values_of_the_default_broker_are_a_condition_until_they_are_accepted() -> Result<()> {
    let Some(mut operator) = start("default-differs")? else { return Ok(()) };
    operator.until_ready("main")?;
    operator.apply(&config_map("default-differs", "  trustedProxies: [300.1.1.1/99]\n"))?;
    let message = operator.until_condition("main", "DefaultDiffers", "True", "Refused")?;
    ensure!(message.contains("trustedProxies") && message.contains("ConfigMap recipe"), "{message}");
    ensure!(message.contains("helm upgrade"), "{message}");
    let broker = operator.get(BROKER)?;
    condition_is(&broker, "Ready", "True", "Ready").context("the running broker should be unchanged")?;
    // Another refusal replaces the first one.
    operator.apply(&config_map("default-differs", "  engine: {embedded: {storage: {size: 1Mi}}}\n"))?;
    operator.until("the other refusal", BROKER, |broker| {
        let message = condition_is(broker, "DefaultDiffers", "True", "Refused")?;
        ensure!(message.contains("spec.engine.embedded.storage"), "{message}");
        Ok(())
    })?;
    // A restart of the operator does not remove the condition, not even for a moment.
    let reported = condition(&operator.get(BROKER)?, "DefaultDiffers")?.clone();
    operator.stop()?;
    let operator = Operator::start_again(operator.cluster, "default-differs", &[FLAG])?;
    wait::until("both to be reconciled", SOON, || {
        for kind in ["DefaultBroker", "MessageBroker"] {
            let reconciles =
                operator.metric(&format!("restante_operator_reconcile_total{{kind=\"{kind}\"}}"))?;
            ensure!(reconciles >= 1.0, "{kind} was reconciled {reconciles} times");
        }
        Ok(())
    })?;
    ensure!(condition(&operator.get(BROKER)?, "DefaultDiffers")? == &reported);
    operator.apply(&config_map("default-differs", "  keepAliveSeconds: 900\n"))?;
    keep_alive_is(&operator, 900)?;
    operator.until("the condition to be removed", BROKER, |broker| {
        ensure!(condition(broker, "DefaultDiffers").is_err(), "{}", broker["status"]);
        Ok(())
    })
}

#[test]
fn a_malformed_config_map_is_a_condition_of_the_broker_that_it_made() -> Result<()> {
    let Some(operator) = start("default-unread")? else { return Ok(()) };
    let mut malformed = config_map("default-unread", "");
    malformed["data"]["broker.yaml"] = json!("spec: [");
    operator.apply(&malformed)?;
    let message = operator.until_condition("main", "DefaultDiffers", "True", "Malformed")?;
    ensure!(message.contains("broker.yaml is not a valid MessageBroker"), "{message}");
    Ok(())
}

#[test]
fn a_refusal_before_the_default_broker_exists_is_reported_by_event_log_and_metric() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "default-never", &[FLAG])?;
    operator.apply(&config_map("default-never", "  engine: {embedded: {storage: {size: 1Mi}}}\n"))?;
    let note = operator.until_event("recipe", "DefaultBrokerRefused")?;
    ensure!(note.contains("spec.engine.embedded.storage"), "{note}");
    ensure!(
        operator
            .log()
            .contains("the manifest of the default MessageBroker in ConfigMap recipe is not applied")
    );
    ensure!(operator.metric("restante_operator_default_broker_refused")? == 1.0);
    operator.apply(&config_map("default-never", ""))?;
    operator.until_ready("main")?;
    ensure!(operator.metric("restante_operator_default_broker_refused")? == 0.0);
    Ok(())
}

#[test]
fn channels_of_a_refused_and_deleted_default_broker_report_the_values_to_correct() -> Result<()> {
    let Some(operator) = start("default-refuses")? else { return Ok(()) };
    let namespace = "default-refuses";
    operator.channel_becomes_ready(namespace, "orders", "main", "")?;
    operator.apply(&config_map(namespace, "  keepAliveSeconds: 0\n"))?;
    operator.until_condition("main", "DefaultDiffers", "True", "Refused")?;
    operator.run(&["delete", BROKER, "--timeout=60s"])?;
    operator.until("the channel to report the refusal", "messagechannel/orders", |channel| {
        let message = condition_is(channel, "Accepted", "False", "BrokerNotFound")?;
        ensure!(
            message.contains("does not exist: the operator creates it from ConfigMap recipe"),
            "{message}"
        );
        ensure!(message.contains("keepAliveSeconds"), "{message}");
        ensure!(message.ends_with("Correct the values broker.* and run `helm upgrade`"), "{message}");
        Ok(())
    })?;
    operator.apply(&config_map(namespace, "  keepAliveSeconds: 900\n"))?;
    let channel = "messagechannel/orders";
    operator.kubectl().wait_for("condition=Ready", SOON, &["-n", namespace, channel])
}

#[test]
fn channels_that_wait_for_a_default_broker_report_its_refusal() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let namespace = "default-awaited";
    let operator = Operator::start(cluster, namespace, &[FLAG])?;
    operator.kubectl().apply(&super::objects::channel(namespace, "orders", (namespace, "main"), ""))?;
    let says = |what: &str| {
        operator.until(what, "messagechannel/orders", |channel| {
            let message = condition_is(channel, "Accepted", "False", "BrokerNotFound")?;
            ensure!(message.contains(what), "{message}");
            Ok(())
        })
    };
    says("create it")?;
    operator.apply(&config_map(namespace, "  engine: {embedded: {storage: {size: 1Mi}}}\n"))?;
    says("Correct the values broker.*")
}

#[test]
fn an_operator_without_its_config_map_serves_other_brokers() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "default-missing", &[FLAG])?;
    operator.broker_becomes_ready("other", "")?;
    ensure!(operator.log().contains("ConfigMap recipe (--default-broker-configmap) not found"));
    ensure!(operator.metric("restante_operator_reconcile_errors_total")? >= 1.0);
    Ok(())
}

#[test]
fn a_malformed_config_map_is_reported_and_stops_nothing_else() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "default-malformed", &[FLAG])?;
    let mut malformed = config_map("default-malformed", "");
    malformed["data"]["broker.yaml"] = json!("spec: [");
    operator.apply(&malformed)?;
    operator.until_event("recipe", "DefaultBrokerMalformed")?;
    operator.broker_becomes_ready("other", "")
}

#[test]
fn a_default_broker_is_deleted_with_its_config_map_and_not_created_again() -> Result<()> {
    let Some(operator) = start("default-uninstalled")? else { return Ok(()) };
    operator.run(&["delete", "configmap", "recipe"])?;
    operator.until_gone(BROKER)?;
    // When the operator has served a later MessageBroker, it has handled the deletion too.
    operator.broker_becomes_ready("other", "")?;
    operator.until_gone(BROKER)
}

#[test]
fn a_renamed_default_broker_is_created_and_the_earlier_one_stays_and_is_reported() -> Result<()> {
    let Some(operator) = start("default-renamed")? else { return Ok(()) };
    let mut renamed = config_map("default-renamed", "");
    renamed["data"]["broker.yaml"] = json!(super::objects::broker("default-renamed", "other", ""));
    operator.apply(&renamed)?;
    operator.until_condition("other", "Ready", "True", "Ready")?;
    let note = operator.until_event("main", "LeftBehind")?;
    ensure!(note.contains("the default MessageBroker is now other. MessageBroker main stays"), "{note}");
    operator.until_condition("main", "Ready", "True", "Ready").map(drop)
}
