//! Manifests that the tests apply, and fields that they read.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A MessageBroker with these further lines in its spec, indented by two.
pub(crate) fn broker(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  replicas: 1\n{spec}"
    )
}

/// A MessageChannel of the broker `(namespace, name)`, with these further lines in its spec, indented by two.
pub(crate) fn channel(namespace: &str, name: &str, broker: (&str, &str), spec: &str) -> String {
    let (broker_namespace, broker) = broker;
    format!(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  access: {{anonymous: true}}\n  \
         brokerRef: {{namespace: {broker_namespace}, name: {broker}}}\n{spec}"
    )
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Result<&'a Value> {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == kind));
    found.with_context(|| format!("there is no condition {kind} in {}", object["status"]))
}

/// Checks the status and reason of a condition, and returns its message.
pub(crate) fn condition_is<'a>(object: &'a Value, kind: &str, status: &str, reason: &str) -> Result<&'a str> {
    let condition = condition(object, kind)?;
    ensure!(condition["status"] == status && condition["reason"] == reason, "{kind} is {condition}");
    condition["message"].as_str().context("a condition has a message")
}

/// A MessageChannel without `spec.brokerRef.namespace`.
pub(crate) fn channel_of_the_default_operator(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  access: {{anonymous: true}}\n  \
         brokerRef: {{name: main}}\n"
    )
}

pub(crate) fn version(object: &Value) -> Result<String> {
    Ok(object["metadata"]["resourceVersion"].as_str().context("an object has a resourceVersion")?.to_owned())
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
