//! Tests of the manifests that a standalone broker accepts, and of the errors for others.

use super::*;

const HEAD: &str = "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata:\n  name: orders\n";

fn channel_of(text: &str) -> MessageChannel {
    let mut documents = parse(text).unwrap();
    assert_eq!(documents.len(), 1);
    match documents.remove(0).manifest {
        Manifest::Channel(channel) => *channel,
        other => panic!("{other:?} is not a channel"),
    }
}

/// The errors of a spec that begins on line 6.
fn errors_of(spec: &str) -> Vec<String> {
    let text = format!("{HEAD}spec:\n{spec}");
    parse(&text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_smallest_channel_gets_namespace_uid_and_defaults() {
    let channel = channel_of(&format!("{HEAD}spec:\n  access: {{anonymous: true}}\n"));
    assert_eq!(channel.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(channel.metadata.uid, Some(uid("default", "orders").to_string()));
    let config = crate::compile(&channel).unwrap();
    assert_eq!(config.source.as_str(), "default/orders");
    assert_eq!(config.delivery.wait_seconds, 10);
}

#[test]
fn the_uid_of_a_name_never_changes() {
    assert_eq!(uid("default", "orders").to_string(), "489b1b4f-ebe8-515c-a19c-ad66e71c1fd3");
}

#[test]
fn sizes_are_quantities_or_numbers() {
    let text = format!(
        "{HEAD}spec:\n  access: {{anonymous: true}}\n  limits: {{bytes: 1.5Gi, messageBytes: 4096}}\n"
    );
    let config = crate::compile(&channel_of(&text)).unwrap();
    assert_eq!((config.limits.bytes, config.limits.message_bytes), (3 << 29, 4096));
}

#[test]
fn a_manifest_exported_from_a_cluster_is_accepted() {
    let text = format!(
        "{HEAD}  namespace: acme\n  uid: b4a2b1c0-0000-4000-8000-000000000000\n  resourceVersion: \"7\"\n  \
         generation: 9\n  creationTimestamp: \"2026-01-01T00:00:00Z\"\n  deletionTimestamp: \"2026-01-02T00:00:00Z\"\n\
         spec:\n  access: {{anonymous: true}}\n  deletionPolicy: Drain\nstatus:\n  \
         source: acme/orders\n"
    );
    let channel = channel_of(&text);
    assert_eq!(channel.metadata.uid, Some(uid("acme", "orders").to_string()));
    assert!(
        !crate::compile(&channel).unwrap().closing,
        "a deletion elsewhere does not close the channel here"
    );
    assert_eq!((channel.metadata.generation, channel.status), (Some(1), None));
}

#[test]
fn a_broker_is_recognised_and_anything_else_is_an_error() {
    let broker =
        "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {name: default}\nspec: {}\n";
    assert_eq!(parse(broker).unwrap()[0].manifest, Manifest::Broker("default/default".into()));
    let errors =
        parse("apiVersion: restante.dev/v1alpha1\nkind: MessageLink\nmetadata: {name: x}\n").unwrap_err();
    assert_eq!((errors[0].line, errors[0].field.as_str()), (2, "kind"));
    let errors = parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n").unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "line 1, column 1: apiVersion: must be restante.dev/v1alpha1, but is \"v1\""
    );
    for (text, expected) in [
        ("foo\n", "line 1, column 1: the document is not a mapping; write the fields of a MessageChannel"),
        ("[]\n", "line 1, column 1: the document is not a mapping; write the fields of a MessageChannel"),
        ("kind: MessageChannel\n", "line 1, column 1: apiVersion: is missing; write restante.dev/v1alpha1"),
        (
            "apiVersion: restante.dev/v1alpha1\nmetadata: {name: x}\n",
            "line 1, column 1: kind: is missing; write MessageChannel",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err()[0].to_string(), expected);
    }
}

#[test]
fn every_document_of_a_file_is_read_and_lines_count_from_its_beginning() {
    let one = format!("{HEAD}spec:\n  access: {{anonymous: true}}\n");
    let two = one.replace("orders", "others");
    let documents = parse(&format!("# first\n---\n{one}---\n---\n{two}")).unwrap();
    assert_eq!(documents.iter().map(|document| document.line).collect::<Vec<_>>(), [3, 11]);

    let errors = parse(&format!("{one}---\n{}", two.replace("true", "maybe"))).unwrap_err();
    assert_eq!((errors[0].line, errors[0].field.as_str()), (13, "spec.access.anonymous"));
}

#[test]
fn an_empty_file_has_no_documents() {
    assert_eq!(parse("").unwrap(), []);
    assert_eq!(parse("# nothing yet\n---\n").unwrap(), []);
}

#[test]
fn a_field_that_does_not_exist_is_named_with_its_line() {
    let errors = errors_of("  access: {anonymous: true}\n  delivery:\n    waitSecond: 5\n");
    let expected =
        "line 8, column 5: spec.delivery.waitSecond: unknown field waitSecond (did you mean waitSeconds?)";
    assert_eq!(errors, [expected]);
    let errors = errors_of("  access: {anonymous: true}\n  stopped: true\n");
    assert!(errors[0].contains("unknown field stopped"), "{errors:?}");
    let errors = parse(&HEAD.replace("name:", "nmae:")).unwrap_err();
    assert!(errors.iter().any(|error| error.field == "metadata.nmae" && error.line == 4), "{errors:?}");
}

#[test]
fn schema_and_cel_refuse_what_an_api_server_refuses() {
    for (spec, field, part) in [
        ("  source: a\n", "spec", "access is required"),
        ("  access: {anonymous: false}\n", "spec", "access.anonymous must be true"),
        ("  access: {anonymous: true}\n  source: Orders\n", "spec.source", "does not match"),
        (
            "  access: {anonymous: true}\n  destinations: [ok, \"a//b\"]\n",
            "spec.destinations[1]",
            "does not match",
        ),
        ("  access: {anonymous: true}\n  destinations: []\n", "spec.destinations", "less than 1 item"),
        (
            "  access: {anonymous: true}\n  delivery: {maxWaitSeconds: 301}\n",
            "spec.delivery.maxWaitSeconds",
            "300",
        ),
        (
            "  access: {anonymous: true}\n  delivery: {waitSeconds: 21}\n",
            "spec.delivery",
            "at most delivery.maxWait",
        ),
        (
            "  access: {anonymous: true}\n  delivery: {leaseSeconds: 3601}\n",
            "spec.delivery",
            "delivery.maxLease",
        ),
        (
            "  access: {anonymous: true}\n  delivery: {waitSeconds: soon}\n",
            "spec.delivery.waitSeconds",
            "integer",
        ),
        ("  access: {anonymous: true}\n  limits: {messageBytes: 17Mi}\n", "spec.limits", "must be 1 to 16Mi"),
        (
            "  access: {anonymous: true}\n  limits: {bytes: 512Ki}\n",
            "spec.limits",
            "must be at most limits.bytes",
        ),
        ("  access: {anonymous: true}\n  limits: {bytes: lots}\n", "spec.limits.bytes", "does not match"),
        ("  access: {anonymous: true}\n  limits: {bytes: -1}\n", "spec.limits", "must be 1 to 100Ti"),
        ("  access: {anonymous: true}\n  deletionPolicy: Keep\n", "spec.deletionPolicy", "Keep"),
        ("  access: {anonymous: true}\n  durability: Replicated\n", "spec.durability", "Replicated"),
        ("  access: {anonymous: true}\n  whenFull: DropNewest\n", "spec.whenFull", "DropNewest"),
        ("  access: {anonymous: true}\n  expired: Keep\n", "spec.expired", "Keep"),
        ("  access: {anonymous: true}\n  delivery: {order: Lifo}\n", "spec.delivery.order", "Lifo"),
        (
            "  access: {anonymous: true}\n  delivery:\n    backoff: {initialSeconds: 9, maxSeconds: 8}\n",
            "spec.delivery.backoff",
            "at most backoff.maxSeconds",
        ),
        (
            "  access: {anonymous: true}\n  deadLetter: {channelRef: {}}\n",
            "spec.deadLetter.channelRef",
            "name is required",
        ),
        (
            "  access: {anonymous: true}\n  deadLetter: {channelRef: {name: a/b}}\n",
            "spec.deadLetter.channelRef.name",
            "does not match",
        ),
    ] {
        let text = format!("{HEAD}spec:\n{spec}");
        let errors = parse(&text).unwrap_err();
        assert!(
            errors
                .iter()
                .any(|error| error.field == field && error.message.contains(part) && error.line >= 5),
            "{spec}: {errors:?}"
        );
    }
}

#[test]
fn a_name_that_is_not_a_dns_label_is_refused() {
    for name in ["a.b", "Orders", "-a", &"n".repeat(64)] {
        let text =
            format!("{HEAD}spec:\n  access: {{anonymous: true}}\n").replace("orders", &format!("{name:?}"));
        let errors = parse(&text).unwrap_err();
        assert!(errors[0].message.contains("one DNS label"), "{errors:?}");
        assert_eq!((errors[0].line, errors[0].field.as_str()), (4, "metadata.name"), "{errors:?}");
    }
}

#[test]
fn invalid_yaml_is_refused_with_its_line() {
    let errors = parse(&format!("{HEAD}spec:\n  access: {{anonymous: true\nx: [\n")).unwrap_err();
    assert!(errors[0].line >= 6 && errors[0].message.starts_with("invalid YAML"), "{errors:?}");
    let errors = parse(&format!("{HEAD}kind: again\n")).unwrap_err();
    assert_eq!(errors[0].to_string(), "line 5, column 1: invalid YAML: the key kind is given more than once");
}
