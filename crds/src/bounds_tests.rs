//! The schema and the broker accept the same numbers: each number is tested at its bounds, and one beyond.

use restante_wire::channel::{
    BACKOFF_SECONDS_MAX, DEDUPLICATION_WINDOW_SECONDS_MAX, DELAY_SECONDS_MAX, DELIVERIES_MAX,
    LEASE_SECONDS_MAX, MESSAGES_MAX, PUSHES_PER_SECOND_MAX, TTL_SECONDS_MAX, WAIT_SECONDS_MAX,
};
use serde_json::{Value, json};

use crate::{
    MessageChannel, compile,
    definitions::{self, BoundedNumber},
    manifest,
};

/// A field under `spec`, its bounds, and the rest of a spec in which both bounds are valid.
type Row = (String, u64, u64, Value);

/// The numbers without a row of their own have the bounds of the schema, and need nothing in the rest of the spec.
fn numbers() -> Vec<Row> {
    let mut rows: Vec<Row> =
        rows().into_iter().map(|(field, least, most, rest)| (field.to_owned(), least, most, rest)).collect();
    for number in definitions::channel_numbers() {
        if !rows.iter().any(|(field, ..)| *field == number.path) {
            rows.push((number.path, number.least, number.most, json!({})));
        }
    }
    rows
}

fn rows() -> Vec<(&'static str, u64, u64, Value)> {
    let long_waits = json!({ "delivery": { "maxWaitSeconds": WAIT_SECONDS_MAX } });
    let no_wait = json!({ "delivery": { "waitSeconds": 0 } });
    let long_leases = json!({ "delivery": { "maxLeaseSeconds": LEASE_SECONDS_MAX } });
    let short_lease = json!({ "delivery": { "leaseSeconds": 1 } });
    let long_pauses = json!({ "delivery": { "backoff": { "maxSeconds": BACKOFF_SECONDS_MAX } } });
    let no_pause = json!({ "delivery": { "backoff": { "initialSeconds": 0 } } });
    let (wait, lease, pause) =
        (u64::from(WAIT_SECONDS_MAX), u64::from(LEASE_SECONDS_MAX), u64::from(BACKOFF_SECONDS_MAX));
    vec![
        ("delivery.waitSeconds", 0, wait, long_waits),
        ("delivery.maxWaitSeconds", 0, wait, no_wait),
        ("delivery.leaseSeconds", 1, lease, long_leases),
        ("delivery.maxLeaseSeconds", 1, lease, short_lease),
        ("delivery.maxDeliveries", 1, DELIVERIES_MAX.into(), json!({})),
        ("delivery.backoff.initialSeconds", 0, pause, long_pauses),
        ("delivery.backoff.maxSeconds", 0, pause, no_pause),
        ("deadLetter.ttlSeconds", 0, TTL_SECONDS_MAX.into(), json!({})),
        ("limits.messages", 1, MESSAGES_MAX, json!({})),
        ("limits.ttlSeconds", 0, TTL_SECONDS_MAX.into(), json!({})),
        ("limits.maxDelaySeconds", 0, DELAY_SECONDS_MAX.into(), json!({})),
        ("limits.pushesPerSecond", 0, PUSHES_PER_SECOND_MAX.into(), json!({})),
        ("deduplicationWindowSeconds", 0, DEDUPLICATION_WINDOW_SECONDS_MAX.into(), json!({})),
    ]
}

/// A channel whose `field` has the value `number`.
fn channel(field: &str, number: i64, mut spec: Value) -> Value {
    spec["access"] = json!({ "anonymous": true });
    *field.split('.').fold(&mut spec, |at, part| &mut at[part]) = number.into();
    json!({
        "apiVersion": "restante.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": { "name": "orders", "namespace": "acme", "uid": "0190a7e8-0000-7000-8000-000000000001" },
        "spec": spec,
    })
}

#[test]
fn schema_and_broker_have_the_same_bounds() {
    for (field, least, most, rest) in numbers() {
        let (least, most) = (i64::try_from(least).unwrap(), i64::try_from(most).unwrap());
        for (number, fits) in [(least, true), (most, true), (least - 1, false), (most + 1, false)] {
            let value = channel(&field, number, rest.clone());
            // JSON is YAML.
            let by_schema = manifest::parse(&value.to_string());
            assert_eq!(by_schema.is_ok(), fits, "{field}: {number}: the schema says {by_schema:?}");
            // The type of a number refuses what is negative, and the check all other values beyond the bounds.
            let read = serde_json::from_value::<MessageChannel>(value).map_err(|error| error.to_string());
            let by_broker = read.and_then(|channel| compile(&channel).map_err(|error| error.to_string()));
            assert_eq!(by_broker.is_ok(), fits, "{field}: {number}: the broker says {by_broker:?}");
            if let Err(error) = by_broker {
                // If the bound is another field, the error names that field.
                let name = field.rsplit('.').next().unwrap_or(&field);
                assert!(error.contains(name), "{field}: {error}");
            }
        }
    }
}

#[test]
fn no_number_of_a_channel_is_left_out() {
    let definition = definitions::all().pop().unwrap();
    assert_eq!(definition.spec.names.kind, "MessageChannel");
    let definition = serde_json::to_value(definition).unwrap();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = Vec::new();
    integers("", spec, &mut found);
    let mut tested: Vec<_> = numbers().into_iter().map(|(field, ..)| field).collect();
    found.sort();
    tested.sort();
    assert_eq!(found, tested);
    for (field, least, most, _) in rows() {
        let number = BoundedNumber { path: field.to_owned(), least, most };
        assert!(
            definitions::channel_numbers().contains(&number),
            "the schema has other bounds than {number:?}"
        );
    }
}

/// Collects the paths of all integers, and asserts that each description contains the bounds.
fn integers(path: &str, schema: &Value, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        integers(&path, property, found);
        if property["type"] == "integer" {
            let bound =
                |which: &str| property[which].as_f64().unwrap_or_else(|| panic!("{path} has no {which}"));
            let bounds = format!("{} to {}", bound("minimum"), bound("maximum"));
            let description = property["description"].as_str().unwrap_or_default().replace('\n', " ");
            assert!(description.contains(&bounds), "{path} does not contain {bounds:?}: {description}");
            found.push(path);
        }
    }
}
