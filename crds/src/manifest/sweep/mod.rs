//! Tests every field of both kinds in a manifest, with a valid value and with invalid ones. A field of the schema
//! without a row fails the test.

mod channel_rows;

use serde_json::{Value, json};

use super::{ManifestError, parse, schema};

/// A field below `spec`, a valid value, and values that are unknown, empty or out of bounds.
type Row = (&'static str, Value, Vec<Value>);

fn broker_rows() -> Vec<Row> {
    let object = || vec![json!([]), json!("x"), json!(null)];
    let many: Vec<_> = (0..17).map(|number| format!("a{number}")).collect();
    let origins: Vec<_> = many.iter().map(|host| format!("https://{host}")).collect();
    vec![
        (
            "allowedHosts",
            json!(["a.example", "*"]),
            vec![
                json!("a"),
                json!([""]),
                json!(["https://a"]),
                json!(["a:8080"]),
                json!(["*.a"]),
                json!([5]),
                json!(["a", "a"]),
                json!(many),
            ],
        ),
        (
            "allowedOrigins",
            json!(["https://a.example", "http://a:65535", "*"]),
            vec![
                json!("https://a"),
                json!([""]),
                json!(["a"]),
                json!(["https://a/"]),
                json!(["https://*.a"]),
                json!(["https://a:0"]),
                json!(["https://a:65536"]),
                json!([5]),
                json!(["https://a", "https://a"]),
                json!(origins),
            ],
        ),
        ("engine", json!({"embedded": {}}), vec![json!({}), json!([]), json!(null)]),
        ("engine.embedded", json!({"cores": 2}), object()),
        ("engine.embedded.cores", json!(2), vec![json!(0), json!(65), json!(1.5), json!("2"), json!(null)]),
        ("engine.embedded.storage", json!({"size": "1Gi"}), object()),
        (
            "engine.embedded.storage.accessMode",
            json!("ReadWriteOncePod"),
            vec![json!(""), json!("ReadWriteMany"), json!(5)],
        ),
        (
            "engine.embedded.storage.size",
            json!("1Gi"),
            vec![json!(""), json!("63Mi"), json!("much"), json!(-1), json!(true)],
        ),
        (
            "engine.embedded.storage.storageClassName",
            json!("fast"),
            vec![json!(""), json!("a".repeat(254)), json!(5)],
        ),
        (
            "externalURL",
            json!("https://MQ.example.com:8443/shared/m-q_1.0~/"),
            vec![
                json!(""),
                json!("mq"),
                json!("mq:8080"),
                json!("ftp://mq"),
                json!("http://"),
                json!("http://a,b"),
                json!("http://*"),
                json!("http://[mq]"),
                json!("http://mq:0"),
                json!("http://mq:65536"),
                json!("http://user@mq"),
                json!("http://mq?b"),
                json!("http://mq/#b"),
                json!("http://mq/a//b"),
                json!("http://mq/a/../b"),
                json!("http://mq/a%20b"),
                json!(format!("http://mq/{}", "a".repeat(1024))),
                json!(5),
            ],
        ),
        (
            "keepAliveSeconds",
            json!(4000),
            vec![json!(0), json!(-1), json!(86_401), json!(1.5), json!("620"), json!(null)],
        ),
        ("replicas", json!(1), vec![json!(0), json!(2), json!(17), json!("1"), json!(null)]),
        (
            "trustedProxies",
            json!(["10.0.0.0/8", "10.1.2.3", "fd00::/8", "0.0.0.0/0"]),
            vec![
                json!("10.0.0.0/8"),
                json!([""]),
                json!(["10.0.0.0/33"]),
                json!(["10.0.0/8"]),
                json!(["10.0.0.1/8"]),
                json!(["fd00::1/8"]),
                json!(["::ffff:10.0.0.0/104"]),
                json!(["[::1]"]),
                json!(["proxy.example.com"]),
                json!(["10.0.0.0/8,10.1.0.0/16"]),
                json!(["10.0.0.0/8", "10.0.0.0/8"]),
                json!([5]),
                json!((0..65).map(|number| format!("10.0.{number}.0/24")).collect::<Vec<_>>()),
                json!(null),
            ],
        ),
        ("template", json!({"resources": {}}), object()),
        ("template.resources", json!({"limits": {"cpu": "1"}}), object()),
        ("template.resources.limits", json!({"cpu": "1"}), vec![json!([]), json!("x"), json!({"cpu": []})]),
        ("template.resources.requests", json!({"cpu": "1"}), vec![json!([]), json!("x"), json!({"cpu": []})]),
        ("template.affinity", json!({"nodeAffinity": {}}), vec![json!([]), json!("x")]),
        (
            "template.annotations",
            json!({"a": "b"}),
            vec![
                json!([]),
                json!({"a": 5}),
                json!({"restante.dev/credential": "x"}),
                json!({"a": "x".repeat(16_385)}),
            ],
        ),
        (
            "template.image",
            json!("registry/broker@sha256:0"),
            vec![json!(""), json!(5), json!("a".repeat(513))],
        ),
        ("template.imagePullPolicy", json!("Never"), vec![json!(""), json!("never"), json!(5)]),
        (
            "template.imagePullSecrets",
            json!([{"name": "pull"}]),
            vec![
                json!(["pull"]),
                json!([{}]),
                json!([{"name": ""}]),
                json!((0..17).map(|_| json!({"name": "a"})).collect::<Vec<_>>()),
            ],
        ),
        (
            "template.labels",
            json!({"a": "b"}),
            vec![
                json!([]),
                json!({"a": 5}),
                json!({"app.kubernetes.io/name": "x"}),
                json!({"restante.dev/broker": "x"}),
                json!({"a": "x".repeat(64)}),
            ],
        ),
        (
            "template.nodeSelector",
            json!({"disk": "fast"}),
            vec![json!([]), json!({"a": 5}), json!({"a": "x".repeat(64)})],
        ),
        ("template.priorityClassName", json!("high"), vec![json!(""), json!(5), json!("a".repeat(254))]),
        ("template.securityContext", json!({"runAsUser": 1000}), vec![json!([]), json!({"runAsRoot": true})]),
        ("template.securityContext.fsGroup", json!(0), vec![json!(-1), json!("0"), json!(2_147_483_648_i64)]),
        (
            "template.securityContext.runAsGroup",
            json!(0),
            vec![json!(-1), json!("0"), json!(2_147_483_648_i64)],
        ),
        (
            "template.securityContext.runAsUser",
            json!(1),
            vec![json!(0), json!("1"), json!(2_147_483_648_i64)],
        ),
        ("template.serviceAccountAnnotations", json!({"a": "b"}), vec![json!([]), json!({"a": 5})]),
        (
            "template.tolerations",
            json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]),
            vec![
                json!([{"operator": "exists"}]),
                json!([{"effect": "No"}]),
                json!([{"kee": "a"}]),
                json!((0..33).map(|_| json!({})).collect::<Vec<_>>()),
            ],
        ),
        (
            "template.topologySpreadConstraints",
            json!([{"maxSkew": 1}]),
            vec![json!({}), json!((0..17).map(|_| json!({})).collect::<Vec<_>>())],
        ),
    ]
}

/// The paths of all fields of a schema, and of the objects in it.
fn paths(schema: &Value, before: &str, found: &mut Vec<String>) {
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if before.is_empty() { field.clone() } else { format!("{before}.{field}") };
        paths(schema, &path, found);
        found.push(path);
    }
}

/// A manifest in JSON, which is also YAML, with `value` in a field of its spec.
fn manifest(kind: &str, path: &str, field: &str, value: &Value) -> Value {
    let mut spec = if kind == "MessageChannel" { json!({"access": {"anonymous": true}}) } else { json!({}) };
    let mut at = &mut spec;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        at = &mut at[part];
    }
    if at.is_null() {
        *at = json!({});
    }
    // Siblings that the field requires.
    if path == "deadLetter.channelRef" {
        at["name"] = json!("dead");
    }
    at[field] = value.clone();
    json!({"apiVersion": "restante.dev/v1alpha1", "kind": kind, "metadata": {"name": "orders"}, "spec": spec})
}

fn refused(cell: &str, text: &str) -> Vec<ManifestError> {
    match parse(text) {
        Ok(documents) => panic!("{cell} is taken: {documents:?}"),
        Err(errors) => errors,
    }
}

fn sweep(kind: &str, rules: &schema::Rules, rows: &[Row]) {
    let mut found = Vec::new();
    paths(&rules.strict["properties"]["spec"], "", &mut found);
    let mut known: Vec<_> = rows.iter().map(|(path, ..)| (*path).to_owned()).collect();
    found.sort();
    known.sort();
    assert_eq!(known, found, "each field has a row, and each row a field");
    for (path, good, bad) in rows {
        let (parent, field) = path.rsplit_once('.').map_or(("", *path), |(parent, field)| (parent, field));
        let text = |field: &str, value: &Value| manifest(kind, parent, field, value).to_string();
        parse(&text(field, good)).unwrap_or_else(|errors| panic!("{path}: {good}: {errors:?}"));
        let misspelt = format!("{field}x");
        let errors = refused(&format!("{path}: unknown name"), &text(&misspelt, good));
        let expected = format!("unknown field {misspelt} (did you mean {field}?)");
        assert!(errors.iter().any(|error| error.message.starts_with(&expected)), "{path}: {errors:?}");
        assert!(errors.iter().any(|error| error.field == format!("spec.{path}x")), "{path}: {errors:?}");
        let twice = text(field, &json!("TWICE")).replace("\"TWICE\"", &format!("{good},\"{field}\":{good}"));
        let errors = refused(&format!("{path}: duplicate"), &twice);
        assert!(errors.iter().any(|error| error.message.contains(field)), "{path}: {errors:?}");
        for value in [json!([[5]])].iter().chain(bad) {
            let errors = refused(&format!("{path}: {value}"), &text(field, value));
            // At the field, inside it, or, for a rule about several fields, at their parent.
            let fits = |error: &ManifestError| {
                let at = format!("spec.{path}");
                error.field.starts_with(&at) || at.starts_with(&error.field)
            };
            assert!(errors.iter().all(fits), "{path}: {value}: {errors:?}");
        }
    }
}

#[test]
fn an_invalid_value_of_a_channel_s_field_is_refused_with_its_path() {
    sweep("MessageChannel", &schema::CHANNEL, &channel_rows::all());
}

#[test]
fn an_invalid_value_of_a_broker_s_field_is_refused_with_its_path() {
    sweep("MessageBroker", &schema::BROKER, &broker_rows());
}

#[test]
fn api_version_kind_metadata_and_spec_must_be_valid_and_given_once() {
    let good = manifest("MessageChannel", "", "paused", &json!(true));
    for (pointer, value) in [
        ("/apiVersion", json!("restante.dev/v1")),
        ("/apiVersion", json!("")),
        ("/kind", json!("MessageChannels")),
        ("/kind", json!("")),
        ("/kind", json!(5)),
        ("/metadata", json!({})),
        ("/metadata", json!({"nmae": "orders"})),
        ("/metadata/name", json!("")),
        ("/metadata/name", json!("Orders")),
        ("/metadata/name", json!("a".repeat(64))),
        ("/spec", json!(null)),
        ("/spec", json!([])),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        refused(&format!("{pointer}: {value}"), &bad.to_string());
    }
    for field in ["apiVersion", "kind", "metadata", "spec"] {
        let twice = good.to_string().replacen('{', &format!("{{\"{field}\":{},", good[field]), 1);
        refused(&format!("{field} twice"), &twice);
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(field);
        refused(&format!("no {field}"), &without.to_string());
    }
    let mut more = good.clone();
    more["specs"] = json!({});
    assert!(refused("specs", &more.to_string())[0].message.contains("did you mean spec?"));
}
