//! The CEL rules of the definitions, run as an API server runs them. Schema rules are run by the manifests' tests.

use serde_json::{Value, json};

use crate::{MessageBroker, MessageChannel};

fn channel(name: &str, spec: Value) -> MessageChannel {
    serde_json::from_value(json!({
        "apiVersion": "restante.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": { "name": name, "namespace": "acme" },
        "spec": spec,
    }))
    .unwrap()
}

fn broker(spec: Value) -> MessageBroker {
    serde_json::from_value(json!({
        "apiVersion": "restante.dev/v1alpha1",
        "kind": "MessageBroker",
        "metadata": { "name": "default" },
        "spec": spec,
    }))
    .unwrap()
}

#[test]
fn a_channel_of_defaults_is_valid() {
    channel("orders", json!({ "access": { "anonymous": true } })).validate_cel().unwrap();
    broker(json!({})).validate_cel().unwrap();
}

#[test]
fn a_name_is_one_dns_label() {
    for name in ["a.b", &"n".repeat(64)] {
        let error = channel(name, json!({ "access": { "anonymous": true } })).validate_cel().unwrap_err();
        assert!(error.to_string().contains("one DNS label"), "{error}");
    }
}

#[test]
fn a_channel_never_moves_to_another_broker() {
    let on =
        |broker: Value| channel("orders", json!({ "brokerRef": broker, "access": { "anonymous": true } }));
    let old = on(json!({ "name": "default" }));
    old.validate_cel_update(&old).unwrap();
    for other in [json!({ "name": "other" }), json!({ "name": "default", "namespace": "elsewhere" })] {
        let error = on(other).validate_cel_update(&old).unwrap_err();
        assert!(error.to_string().contains("brokerRef is immutable"), "{error}");
    }
}

#[test]
fn the_embedded_engine_has_one_replica() {
    let error = broker(json!({ "replicas": 2 })).validate_cel().unwrap_err();
    assert!(error.to_string().contains("replicas must be 1"), "{error}");
}

#[test]
fn storage_is_immutable_and_not_tiny() {
    let sized = |size: Value| broker(json!({ "engine": { "embedded": { "storage": { "size": size } } } }));
    let error = sized(json!("20Gi")).validate_cel_update(&sized(json!("10Gi"))).unwrap_err();
    assert!(error.to_string().contains("storage is immutable"), "{error}");
    assert!(sized(json!("64Mi")).validate_cel().is_ok());
    let error = sized(json!(1024)).validate_cel().unwrap_err();
    assert!(error.to_string().contains("64Mi to 100Ti"), "{error}");
}
