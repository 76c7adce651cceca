//! The fields of a batch's items, in JSON and in frames.

use reqwest::{Method, header::CONTENT_TYPE};
use restante_wire::{
    ProblemType as P,
    batch::{FRAMES_CONTENT_TYPE, ItemHead, PushResult, PushResults, encode_frame},
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Outcome::{self, Accepted, Refused},
    assert_complete, assert_no_rust_terms, fields,
};
use crate::{broker::Broker, operator::with_orders};

/// A field. For all fields, an unknown name, a duplicate and a wrong type are `item-malformed`.
struct Row {
    field: &'static str,
    good: Value,
    wrong_type: Value,
    /// Unknown values, empty ones, values out of bounds, and whole items in which the field has no effect.
    others: Vec<(&'static str, Value, Outcome)>,
}

const MALFORMED: Outcome = Refused(P::ItemMalformed);
const STORED: Outcome = Accepted(201);

fn row(
    field: &'static str,
    good: Value,
    wrong_type: Value,
    others: impl IntoIterator<Item = (&'static str, Value, Outcome)>,
) -> Row {
    Row { field, good, wrong_type, others: others.into_iter().collect() }
}

fn rows() -> Vec<Row> {
    let too_large = Refused(P::HeadersTooLarge);
    let many: Map<_, _> = (0..65).map(|number| (format!("meta-{number}"), json!("1"))).collect();
    vec![
        row(
            "content",
            json!("a"),
            json!(5),
            [
                ("empty", json!(""), STORED),
                ("empty", json!(null), MALFORMED),
                ("out of bounds", json!("a".repeat((1 << 20) + 1)), Refused(P::MessageTooLarge)),
            ],
        ),
        row(
            "content64",
            json!("YQ=="),
            json!(5),
            [
                ("empty", json!(""), STORED),
                ("unknown value", json!("not base64"), MALFORMED),
                ("unknown value", json!("YQ"), MALFORMED),
            ],
        ),
        row(
            "contentType",
            json!("a/b"),
            json!({}),
            [
                ("empty", json!(""), MALFORMED),
                ("unknown value", json!("a\nb"), MALFORMED),
                ("out of bounds", json!("a".repeat(2100)), too_large),
            ],
        ),
        row(
            "contentEncoding",
            json!("br"),
            json!([]),
            [
                ("empty", json!(""), MALFORMED),
                ("unknown value", json!("a\nb"), MALFORMED),
                ("out of bounds", json!("a".repeat(2100)), too_large),
            ],
        ),
        row(
            "idempotencyKey",
            json!("k"),
            json!(5),
            [
                ("empty", json!(""), MALFORMED),
                ("unknown value", json!("two words"), MALFORMED),
                ("out of bounds", json!("k".repeat(256)), MALFORMED),
            ],
        ),
        row(
            "group",
            json!("g"),
            json!(true),
            [
                ("empty", json!(""), MALFORMED),
                ("unknown value", json!("two words"), MALFORMED),
                ("out of bounds", json!("g".repeat(129)), MALFORMED),
            ],
        ),
        row(
            "delaySeconds",
            json!(1),
            json!("1"),
            [
                ("empty", json!(null), STORED),
                ("out of bounds", json!(-1), MALFORMED),
                ("out of bounds", json!(1.5), MALFORMED),
                ("out of bounds", json!(43201), MALFORMED),
                ("out of bounds", json!(4294967296_u64), MALFORMED),
            ],
        ),
        row(
            "ttlSeconds",
            json!(60),
            json!("60"),
            [
                ("empty", json!(null), STORED),
                ("out of bounds", json!(0), MALFORMED),
                ("out of bounds", json!(1209601), MALFORMED),
                ("out of bounds", json!(4294967296_u64), MALFORMED),
            ],
        ),
        row(
            "headers",
            json!({"meta-a": ["1", "2"]}),
            json!([]),
            [
                ("empty", json!({}), STORED),
                ("empty", json!({"": "1"}), MALFORMED),
                ("unknown value", json!({"host": "x"}), MALFORMED),
                ("unknown value", json!({"idempotency-key": "k"}), MALFORMED),
                ("unknown value", json!({"meta a": "1"}), MALFORMED),
                ("unknown value", json!({"meta-a": "a\nb"}), MALFORMED),
                ("wrong type", json!({"meta-a": 1}), MALFORMED),
                ("wrong type", json!({"meta-a": null}), MALFORMED),
                ("duplicate", json!({"reply-to": ["a/b", "c/d"]}), MALFORMED),
                ("out of bounds", json!(many), too_large),
            ],
        ),
    ]
}

/// Whole items in which one field cancels another's effect.
fn without_effect() -> [Value; 5] {
    [
        json!({"content": "a", "content64": "YQ=="}),
        json!({"content": "a", "contentType": "a/b", "headers": {"content-type": "a/b"}}),
        json!({"content": "a", "contentEncoding": "br", "headers": {"Content-Encoding": "br"}}),
        json!({"content": "a", "delaySeconds": 60, "ttlSeconds": 60}),
        json!({"content": "a", "headers": {"meta-a": "1", "Content-Type": "a", "content-type": "b"}}),
    ]
}

async fn pushed(broker: &Broker, media_type: &str, body: Vec<u8>) -> PushResult {
    let request = broker.request(Method::POST, "/v1/batches/acme/orders").header(CONTENT_TYPE, media_type);
    let response = request.body(body).send().await.unwrap();
    assert_eq!(response.status(), 200, "{response:?}");
    response.json::<PushResults>().await.unwrap().results.remove(0)
}

fn assert_result(cell: &str, result: &PushResult, expected: Outcome) -> String {
    let Some(problem) = &result.problem else {
        assert_eq!(Accepted(result.status), expected, "{cell}: {result:?}");
        return String::new();
    };
    assert_eq!(problem.problem_type().map(Refused), Some(expected), "{cell}: {problem}");
    assert_no_rust_terms(cell, &problem.detail);
    problem.detail.clone()
}

/// An item, as text, in a JSON batch.
async fn assert_item(broker: &Broker, cell: &str, item: &str, expected: Outcome) -> String {
    let body = format!("{{\"messages\": [{item}]}}").into_bytes();
    let cell = format!("{cell}: {item:.200}");
    assert_result(&cell, &pushed(broker, "application/json", body).await, expected)
}

/// A head, as text, of a frame.
async fn assert_head(broker: &Broker, cell: &str, head: &str, expected: Outcome) -> String {
    let mut body = Vec::new();
    encode_frame(&RawValue::from_string(head.to_owned()).unwrap(), b"a", &mut body);
    let cell = format!("{cell}: frame {head:.200}");
    assert_result(&cell, &pushed(broker, FRAMES_CONTENT_TYPE, body).await, expected)
}

#[tokio::test]
async fn each_invalid_value_of_an_items_fields_has_one_outcome() {
    let broker = with_orders(|_| ()).await;
    let rows = rows();
    let heads = fields::of::<ItemHead>();
    assert_complete(
        heads.iter().cloned().chain(["content".into(), "content64".into()]),
        rows.iter().map(|row| row.field.to_owned()),
    );
    for Row { field, good, wrong_type, others } in &rows {
        let is_content = field.starts_with("content") && !heads.contains(&(*field).to_owned());
        // The part of the item before the field.
        let with = if is_content { "" } else { "\"content\": \"a\", " };
        let in_item = |more: &str| format!("{{{with}{more}}}");
        let unknown = format!("\"{field}x\": {good}");
        let detail = assert_item(&broker, "unknown name", &in_item(&unknown), MALFORMED).await;
        assert!(
            detail.starts_with(&format!("messages[0].{field}x is an unknown field (did you mean {field}?)")),
            "{detail}"
        );
        let twice = format!("\"{field}\": {good}, \"{field}\": {good}");
        let detail = assert_item(&broker, "duplicate", &in_item(&twice), MALFORMED).await;
        assert_eq!(detail, format!("messages[0].{field} is given more than once"));
        let wrong = format!("\"{field}\": {wrong_type}");
        let detail = assert_item(&broker, "wrong type", &in_item(&wrong), MALFORMED).await;
        assert!(detail.starts_with(&format!("messages[0].{field} must be ")), "{detail}");
        assert_item(&broker, "good", &in_item(&format!("\"{field}\": {good}")), STORED).await;
        for (kind, value, expected) in others {
            assert_item(&broker, kind, &in_item(&format!("\"{field}\": {value}")), *expected).await;
        }
        if is_content {
            // After the head, and nowhere else.
            assert_head(&broker, "unknown name", &format!("{{\"{field}\": {good}}}"), MALFORMED).await;
            continue;
        }
        for (kind, more, expected) in [
            ("unknown name", &unknown, MALFORMED),
            ("duplicate", &twice, MALFORMED),
            ("wrong type", &wrong, MALFORMED),
        ] {
            assert_head(&broker, kind, &format!("{{{more}}}"), expected).await;
        }
        for (kind, value, expected) in others {
            assert_head(&broker, kind, &format!("{{\"{field}\": {value}}}"), *expected).await;
        }
    }
    for item in without_effect() {
        assert_item(&broker, "without effect", &item.to_string(), MALFORMED).await;
    }
    for item in ["{}", "[]", "5", "null", "\"a\""] {
        assert_item(&broker, "no item", item, MALFORMED).await;
    }
}
