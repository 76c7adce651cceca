//! Tests of who owns an object that has the name of a child.

use serde_json::{Value, json};

use super::*;
use crate::kinds::broker::validate::{
    tests::{args, broker},
    validate,
};

fn owner_by(metadata: Value) -> ChildOwner {
    let mut metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
    metadata.name = Some("restante-default".into());
    let valid = validate(&broker("mq", json!({})), &args()).unwrap();
    owner_of("Service", Some(&metadata), valid.parent(), Handover::ByLabels)
}

fn taken(metadata: Value) -> String {
    match owner_by(metadata) {
        ChildOwner::Taken(taken) => taken.to_string(),
        other => panic!("{other:?}"),
    }
}

fn owner(kind: &str, name: &str, uid: &str, controller: bool) -> Value {
    let api_version = if kind == "MessageBroker" { "restante.dev/v1alpha1" } else { "apps/v1" };
    json!([{ "apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": controller }])
}

fn our_labels() -> Value {
    json!({ "app.kubernetes.io/managed-by": "restante-operator", "restante.dev/broker": "default" })
}

#[test]
fn an_absent_object_may_be_created() {
    let valid = validate(&broker("mq", json!({})), &args()).unwrap();
    assert_eq!(owner_of("Service", None, valid.parent(), Handover::ByLabels), ChildOwner::Absent);
}

#[test]
fn every_foreign_object_is_named() {
    let valid = validate(&broker("mq", json!({})), &args()).unwrap();
    assert_eq!(Owners::of(&Found::default(), valid.parent()).conflict(), None);
    let stranger = |name: &str| Some(ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() });
    let found = Found {
        service_account: stranger("restante-default"),
        headless: stranger("restante-default-headless")
            .map(|metadata| Service { metadata, ..Service::default() }),
        ..Found::default()
    };
    let stopped = Owners::of(&found, valid.parent()).conflict().unwrap();
    assert_eq!(stopped.reason, "NameTaken");
    assert_eq!(stopped.about.kind.as_deref(), Some("ServiceAccount"));
    let reported = stopped.message;
    assert!(reported.contains("ServiceAccount restante-default belongs to"), "{reported}");
    assert!(reported.contains("; Service restante-default-headless belongs to"), "{reported}");
}

fn message_of(found: &Found) -> Option<String> {
    let valid = validate(&broker("mq", json!({})), &args()).unwrap();
    Owners::of(found, valid.parent()).conflict().map(|stopped| stopped.message)
}

#[test]
fn a_claim_is_ours_by_its_labels_and_the_advice_never_deletes_it() {
    let claim = |labels: Value| Found {
        claim: serde_json::from_value(
            json!({ "metadata": { "name": "data-restante-default-0", "labels": labels } }),
        )
        .unwrap(),
        ..Found::default()
    };
    assert_eq!(message_of(&claim(json!(names::selector("default")))), None);
    for labels in
        [json!({}), json!({ "app.kubernetes.io/managed-by": "postgres" }), json!(names::selector("b"))]
    {
        let reported = message_of(&claim(labels)).unwrap();
        assert!(
            reported.starts_with("PersistentVolumeClaim data-restante-default-0 belongs to "),
            "{reported}"
        );
        let command = "`kubectl -n mq label --overwrite pvc data-restante-default-0 \
                       app.kubernetes.io/name=restante-broker restante.dev/broker=default`";
        assert!(reported.contains(command) && !reported.contains("delete"), "{reported}");
    }
}

#[test]
fn an_object_that_cannot_become_ours_is_not_offered_for_handover() {
    let secret = |fields: Value| {
        let mut secret = json!({ "metadata": { "name": "restante-default-control" } });
        secret.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Found { credential: serde_json::from_value(secret).unwrap(), ..Found::default() }
    };
    let headless = |address: &str| {
        let service = json!({ "metadata": { "name": "x" }, "spec": { "clusterIP": address } });
        Found { headless: serde_json::from_value(service).unwrap(), ..Found::default() }
    };
    let set = json!({ "metadata": { "name": "restante-default" } });
    let set = Found { workload: serde_json::from_value(set).unwrap(), ..Found::default() };
    for never in [
        secret(json!({ "immutable": true })),
        secret(json!({ "type": "kubernetes.io/tls" })),
        headless("10.96.0.7"),
        set,
    ] {
        let reported = message_of(&never).unwrap();
        assert!(
            reported.contains("delete it with `kubectl -n mq delete ") && !reported.contains("label"),
            "{reported}"
        );
    }
    for may in [secret(json!({})), secret(json!({ "immutable": false })), headless("None")] {
        assert!(message_of(&may).unwrap().contains("hand it over"));
    }
}

#[test]
fn an_object_of_an_earlier_broker_has_reason_rollout_under_way() {
    let valid = validate(&broker("mq", json!({})), &args()).unwrap();
    let owners = owner("MessageBroker", "default", "u0", true);
    let going = json!({ "name": "restante-default", "ownerReferences": owners });
    let found = Found { service: Some(serde_json::from_value(going).unwrap()), ..Found::default() };
    assert_eq!(Owners::of(&found, valid.parent()).conflict().unwrap().reason, "RolloutUnderWay");
}

#[test]
fn an_object_controlled_by_our_broker_is_ours_without_labels() {
    let owners = owner("MessageBroker", "default", "u1", true);
    assert_eq!(owner_by(json!({ "ownerReferences": owners, "labels": our_labels() })), ChildOwner::Ours);
    assert_eq!(owner_by(json!({ "ownerReferences": owners })), ChildOwner::Ours);
}

#[test]
fn an_object_with_our_labels_and_no_controller_is_adopted() {
    assert_eq!(owner_by(json!({ "labels": our_labels() })), ChildOwner::Adopt);
    let owners = owner("ConfigMap", "backup", "u9", false);
    assert_eq!(owner_by(json!({ "labels": our_labels(), "ownerReferences": owners })), ChildOwner::Adopt);
}

#[test]
fn an_object_of_another_controller_is_foreign_even_with_our_labels() {
    let owners = owner("Deployment", "web", "u9", true);
    let reported = taken(json!({ "labels": our_labels(), "ownerReferences": owners }));
    assert!(reported.starts_with("Service restante-default belongs to Deployment web: "), "{reported}");
    assert!(reported.contains("`kubectl -n mq delete service restante-default`"), "{reported}");
    assert!(!reported.contains("kubectl -n mq label"), "a label would not hand it over: {reported}");
}

#[test]
fn an_object_of_an_earlier_broker_of_the_same_name_is_waited_for() {
    let reported = taken(json!({ "ownerReferences": owner("MessageBroker", "default", "u0", true) }));
    assert!(reported.contains("an earlier MessageBroker default: Kubernetes is deleting it"), "{reported}");
    let other = taken(json!({ "ownerReferences": owner("MessageBroker", "other", "u2", true) }));
    assert!(other.contains("belongs to MessageBroker other: delete it"), "{other}");
}

#[test]
fn an_object_without_one_of_our_labels_is_foreign_and_a_command_hands_it_over() {
    for labels in [
        json!({}),
        json!({ "app.kubernetes.io/managed-by": "restante-operator" }),
        json!({ "restante.dev/broker": "default" }),
        json!({ "app.kubernetes.io/managed-by": "restante-operator", "restante.dev/broker": "other" }),
        json!({ "app.kubernetes.io/managed-by": "Helm", "restante.dev/broker": "default" }),
    ] {
        let reported = taken(json!({ "labels": labels }));
        let command = "`kubectl -n mq label --overwrite service restante-default \
                       app.kubernetes.io/managed-by=restante-operator restante.dev/broker=default`";
        assert!(reported.contains(command), "{reported}");
    }
}
