//! Tests of the definitions' CEL rules, evaluated as on an API server. The tests of manifests cover the schemas.

use restante_wire::channel::{KeepHeaders, NEVER_KEPT, NEVER_KEPT_PREFIXES};
use serde_json::{Value, json};

use crate::{MessageBroker, MessageChannel, compile};

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
fn a_channel_with_all_defaults_is_valid() {
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
fn durability_is_immutable() {
    let with = |durability: &str| {
        channel("orders", json!({ "durability": durability, "access": { "anonymous": true } }))
    };
    // A channel stored by an early development version has no durability, which means Fsync.
    let silent = channel("orders", json!({ "access": { "anonymous": true } }));
    with("Fsync").validate_cel_update(&silent).unwrap();
    with("Memory").validate_cel_update(&with("Memory")).unwrap();
    for (new, old) in [(with("Memory"), silent), (with("Fsync"), with("Memory"))] {
        let error = new.validate_cel_update(&old).unwrap_err();
        assert!(error.to_string().contains("durability is immutable"), "{error}");
    }
}

#[test]
fn dead_letters_go_to_another_channel() {
    let to = |name: &str| {
        let dead_letter = json!({ "channelRef": { "name": name } });
        channel("orders", json!({ "deadLetter": dead_letter, "access": { "anonymous": true } }))
    };
    to("orders-dead").validate_cel().unwrap();
    let error = to("orders").validate_cel().unwrap_err();
    assert!(error.to_string().contains("must name another channel"), "{error}");
}

#[test]
fn rule_and_broker_refuse_the_same_headers() {
    let kept = ["stripe-signature", "x-github-*", "webhook-*", "content-disposition", "c", "x-f"];
    let never = ["content-*", "x-*", "x-f*", "x-forwarded-for", "message-id", "m*", "if-none-match"];
    let prefixes = NEVER_KEPT_PREFIXES.iter().map(|prefix| format!("{prefix}*"));
    let names = kept.iter().chain(&never).chain(NEVER_KEPT).map(|name| (*name).to_owned());
    for name in names.chain(prefixes) {
        let spec = json!({ "keepHeaders": [name], "access": { "anonymous": true } });
        let mut channel = channel("orders", spec);
        channel.metadata.uid = Some("0190a7e8-0000-7000-8000-000000000001".into());
        let (by_rule, by_broker) = (channel.validate_cel(), compile(&channel));
        assert_eq!(by_rule.is_ok(), kept.contains(&name.as_str()), "{name}: {by_rule:?}");
        assert_eq!(by_broker.is_ok(), by_rule.is_ok(), "{name}: {by_broker:?}");
    }
}

#[test]
fn schema_and_broker_refuse_the_same_invalid_header_names() {
    for (name, fits) in [
        ("webhook-id", true),
        ("webhook-*", true),
        ("Webhook-Id", false),
        ("*", false),
        ("a b", false),
        ("", false),
        ("a*b", false),
        ("a-", false),
    ] {
        let text = format!(
            "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: orders, namespace: acme}}\n\
             spec: {{access: {{anonymous: true}}, keepHeaders: [{name:?}]}}\n"
        );
        assert_eq!(crate::manifest::parse(&text).is_ok(), fits, "{name}");
        let keep: KeepHeaders = [name].into_iter().collect();
        let mut channel = channel("orders", json!({ "keepHeaders": keep, "access": { "anonymous": true } }));
        channel.metadata.uid = Some("0190a7e8-0000-7000-8000-000000000001".into());
        assert_eq!(compile(&channel).is_ok(), fits, "{name}");
    }
}

#[test]
fn the_first_pause_is_at_most_the_longest() {
    let with = |backoff: Value| {
        channel("orders", json!({ "delivery": { "backoff": backoff }, "access": { "anonymous": true } }))
    };
    with(json!({ "initialSeconds": 300 })).validate_cel().unwrap();
    for backoff in [json!({ "initialSeconds": 301 }), json!({ "maxSeconds": 0 })] {
        let error = with(backoff).validate_cel().unwrap_err();
        assert!(error.to_string().contains("at most backoff.maxSeconds"), "{error}");
    }
}

#[test]
fn rule_and_broker_require_that_a_message_of_the_largest_size_fits_the_channel() {
    for (limits, fits) in [
        (json!({}), true),
        (json!({ "bytes": "1Mi" }), true),
        (json!({ "bytes": 1_048_576, "messageBytes": "1Mi" }), true),
        (json!({ "bytes": "1.5Ki", "messageBytes": 1536 }), true),
        (json!({ "bytes": "1k", "messageBytes": "1Ki" }), false),
        (json!({ "bytes": 1, "messageBytes": 2 }), false),
        // The default of messageBytes does not depend on bytes: the object shows the values in force.
        (json!({ "bytes": "512Ki" }), false),
        (json!({ "messageBytes": "16Mi", "bytes": "15Mi" }), false),
    ] {
        let mut channel = channel("orders", json!({ "limits": limits, "access": { "anonymous": true } }));
        channel.metadata.uid = Some("0190a7e8-0000-7000-8000-000000000001".into());
        let (by_rule, by_broker) = (channel.validate_cel(), compile(&channel));
        assert_eq!((by_rule.is_ok(), by_broker.is_ok()), (fits, fits), "{limits}: {by_rule:?} {by_broker:?}");
        if let Err(error) = by_rule {
            let expected = "limits.messageBytes (default: 1Mi) must be at most limits.bytes";
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

#[test]
fn the_embedded_engine_has_one_replica() {
    let error = broker(json!({ "replicas": 2 })).validate_cel().unwrap_err();
    assert!(error.to_string().contains("replicas must be 1"), "{error}");
}

#[test]
fn storage_has_a_minimum_and_may_grow() {
    let sized = |size: Value| broker(json!({ "engine": { "embedded": { "storage": { "size": size } } } }));
    sized(json!("20Gi")).validate_cel_update(&sized(json!("10Gi"))).unwrap();
    assert!(sized(json!("64Mi")).validate_cel().is_ok());
    let error = sized(json!(1024)).validate_cel().unwrap_err();
    assert!(error.to_string().contains("64Mi to 100Ti"), "{error}");
}

#[test]
fn a_broker_s_name_does_not_collide_with_another_broker_s_objects() {
    let named = |name: &str| {
        let mut broker = broker(json!({}));
        broker.metadata.name = Some(name.to_owned());
        broker.validate_cel()
    };
    for name in ["orders", "headless", "control", "headless-orders", "control-plane", "operator"] {
        named(name).unwrap();
    }
    for name in ["orders-headless", "orders-control", "a-headless-control"] {
        let error = named(name).unwrap_err();
        assert!(error.to_string().contains("must not end with -headless or -control"), "{error}");
    }
}

#[test]
fn a_trusted_proxy_is_a_network_or_an_address() {
    let refused = |network: &str| {
        let text = format!(
            "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {{name: default}}\n\
             spec: {{trustedProxies: [{network:?}]}}\n"
        );
        crate::manifest::parse(&text).is_err()
    };
    for network in ["10.0.0.0/8", "203.0.113.7/32", "203.0.113.7", "fd00::/8", "fd00::7", "0.0.0.0/0"] {
        assert!(!refused(network), "{network}");
    }
    for other in [
        "",
        "10.0.0.0/33",
        "10.0.0/8",
        "10.0.0.7/8",
        "fd00::7/8",
        "::ffff:10.0.0.0/104",
        "proxy.example.com",
        "10.0.0.0/8,10.1.0.0/16",
    ] {
        assert!(refused(other), "{other}");
    }
}

#[test]
fn allowed_hosts_and_origins_have_the_form_of_the_request_s_headers() {
    let refused = |field: &str, value: &str| {
        let text = format!(
            "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {{name: default}}\n\
             spec: {{{field}: [{value:?}]}}\n"
        );
        crate::manifest::parse(&text).is_err()
    };
    for host in ["mq", "mq.example.com", "10.0.0.1", "*"] {
        assert!(!refused("allowedHosts", host), "{host}");
    }
    // The broker's flag separates hosts by commas, and compares them without the port.
    for host in ["", "a,b", "MQ.example.com", "mq.example.com:8080", "*.example.com", "https://mq"] {
        assert!(refused("allowedHosts", host), "{host}");
    }
    for origin in ["https://app.example.com", "http://localhost:3000", "*"] {
        assert!(!refused("allowedOrigins", origin), "{origin}");
    }
    for origin in ["", "app.example.com", "https://app.example.com/", "https://a,https://b", "null"] {
        assert!(refused("allowedOrigins", origin), "{origin}");
    }
}
