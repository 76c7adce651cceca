//! Request headers with a meaning in the contract, on every route.

use reqwest::header::ACCEPT;
use restante_wire::ProblemType as P;

use super::{
    Cell::{self, Nothing, Values},
    Outcome::{self, Accepted, Refused},
    assert_complete, assert_outcome,
    requests::{broker, of, operations},
};

/// A header of an operation; unknown names are in `effects.rs`.
struct Row {
    of: &'static str,
    name: &'static str,
    /// The query of the request.
    query: &'static str,
    good: &'static str,
    duplicate: Outcome,
    empty: Outcome,
    wrong_type: Cell<&'static str>,
    unknown_value: Cell<&'static str>,
    out_of_bounds: Cell<Value>,
    /// Whole queries.
    without_effect: Cell<&'static str>,
}

/// A value that may be too long to be written out.
enum Value {
    Text(&'static str),
    /// A part, repeated this many times.
    Times(usize, &'static str),
}

const MALFORMED: Outcome = Refused(P::HeaderMalformed);
const PUSHED: Outcome = Accepted(201);
const PULLED: Outcome = Accepted(204);
const ANY_TEXT: Cell<&str> = Nothing("it is any text");
const NUMBER: Cell<&str> = Nothing("it is a number");
const EFFECTIVE: Cell<&str> = Nothing("it has its effect with all others");

const fn key(of: &'static str, name: &'static str, without_effect: Cell<&'static str>) -> Row {
    Row {
        of,
        name,
        query: "",
        good: "k",
        duplicate: MALFORMED,
        empty: MALFORMED,
        wrong_type: Values(&[("\"open", MALFORMED), ("two words", MALFORMED), ("\"k\";", MALFORMED)]),
        unknown_value: ANY_TEXT,
        out_of_bounds: Values(&[(Value::Times(256, "k"), MALFORMED)]),
        without_effect,
    }
}

/// Kept with the message. Headers that a proxy may add or repeat are accepted as received; headers that a receiver
/// reads once may be given once.
const fn kept(name: &'static str, duplicate: Outcome) -> Row {
    Row {
        of: "push",
        name,
        query: "",
        good: "a",
        duplicate,
        empty: PUSHED,
        wrong_type: ANY_TEXT,
        unknown_value: ANY_TEXT,
        out_of_bounds: Values(&[(Value::Times(2100, "a"), Refused(P::HeadersTooLarge))]),
        without_effect: EFFECTIVE,
    }
}

/// Unknown preferences are ignored (RFC 7240 section 2); the wait is lowered to the channel's bound.
const fn prefer(
    of: &'static str,
    accepted: Outcome,
    values: &'static [(&'static str, Outcome)],
    beyond: &'static [(Value, Outcome)],
) -> Row {
    Row {
        of,
        name: "Prefer",
        query: "",
        good: "wait=0",
        duplicate: MALFORMED,
        empty: accepted,
        wrong_type: Values(&[("wait=soon", MALFORMED), ("wait", MALFORMED), ("wait=1.5", MALFORMED)]),
        unknown_value: Values(values),
        out_of_bounds: Values(beyond),
        without_effect: Nothing("the query wins, as the contract says"),
    }
}

const fn acknowledge(of: &'static str) -> Row {
    Row {
        of,
        name: "Acknowledge",
        query: "",
        good: "a",
        // Leases add up (RFC 9110 section 5.3).
        duplicate: PULLED,
        empty: MALFORMED,
        wrong_type: Values(&[("a b", MALFORMED), (", ,", MALFORMED)]),
        // Listed in Acknowledge-Failed.
        unknown_value: Values(&[("nonsense", PULLED)]),
        out_of_bounds: Values(&[(Value::Times(65, "a,"), MALFORMED), (Value::Times(1025, "a"), MALFORMED)]),
        without_effect: EFFECTIVE,
    }
}

/// Confirms `ack=auto`, and has no other effect. `POST /v1/receive` does not need it, and ignores it.
const fn settle(of: &'static str) -> Row {
    Row {
        of,
        name: "Restante-Settle",
        query: "ack=auto",
        good: "yes",
        duplicate: MALFORMED,
        empty: MALFORMED,
        wrong_type: Values(&[("1", MALFORMED), ("true", MALFORMED), ("yes;a", MALFORMED)]),
        unknown_value: Values(&[("no", MALFORMED), ("Yes", MALFORMED), ("yes, yes", MALFORMED)]),
        out_of_bounds: Nothing("it is one word"),
        without_effect: Values(&[
            ("", MALFORMED),
            ("lease=30", MALFORMED),
            ("ack=auto&lease=30", Refused(P::ParameterMalformed)),
        ]),
    }
}

const PUSH_PREFER: &[(&str, Outcome)] = &[("respond-async", PUSHED)];
const PUSH_WAITS: &[(Value, Outcome)] =
    &[(Value::Text("wait=4294967296"), PUSHED), (Value::Text("wait=-1"), MALFORMED)];
const PULL_PREFER: &[(&str, Outcome)] = &[("return=minimal", PULLED)];
const PULL_WAITS: &[(Value, Outcome)] =
    &[(Value::Text("wait=4294967296"), PULLED), (Value::Text("wait=-1"), MALFORMED)];
const WITH_ACK: Cell<&str> = Values(&[("ack=auto", Refused(P::ParameterMalformed))]);

const ROWS: &[Row] = &[
    key("push", "Idempotency-Key", EFFECTIVE),
    Row {
        out_of_bounds: Values(&[(Value::Times(129, "g"), MALFORMED)]),
        ..key("push", "Message-Group", EFFECTIVE)
    },
    Row {
        of: "push",
        name: "Message-Delay",
        query: "",
        good: "1",
        duplicate: MALFORMED,
        empty: MALFORMED,
        wrong_type: Values(&[("soon", MALFORMED), ("1.5", MALFORMED), ("-1", MALFORMED)]),
        unknown_value: NUMBER,
        out_of_bounds: Values(&[(Value::Text("43201"), MALFORMED), (Value::Text("4294967296"), MALFORMED)]),
        without_effect: EFFECTIVE,
    },
    Row {
        of: "push",
        name: "Message-TTL",
        query: "",
        good: "60",
        duplicate: MALFORMED,
        empty: MALFORMED,
        wrong_type: Values(&[("soon", MALFORMED), ("1.5", MALFORMED), ("-1", MALFORMED)]),
        unknown_value: NUMBER,
        out_of_bounds: Values(&[(Value::Text("0"), MALFORMED), (Value::Text("1209601"), MALFORMED)]),
        without_effect: EFFECTIVE,
    },
    prefer("push", PUSHED, PUSH_PREFER, PUSH_WAITS),
    kept("Content-Encoding", PUSHED),
    kept("Content-Language", PUSHED),
    kept("Reply-To", MALFORMED),
    kept("Correlation-Id", MALFORMED),
    kept("traceparent", PUSHED),
    kept("tracestate", PUSHED),
    kept("baggage", PUSHED),
    settle("pull"),
    prefer("pull", PULLED, PULL_PREFER, PULL_WAITS),
    acknowledge("pull"),
    key("pull", "Receive-Attempt-Id", WITH_ACK),
    settle("receive"),
    prefer("receive", PULLED, PULL_PREFER, PULL_WAITS),
    acknowledge("receive"),
    key("receive", "Receive-Attempt-Id", WITH_ACK),
    settle("pullBatch"),
    prefer("pullBatch", PULLED, PULL_PREFER, PULL_WAITS),
    acknowledge("pullBatch"),
    key("pullBatch", "Receive-Attempt-Id", WITH_ACK),
];

#[tokio::test]
async fn each_invalid_value_of_a_header_has_one_outcome() {
    let broker = broker().await;
    let operations = operations(&broker).await;
    let inputs = operations.iter().flat_map(|operation| {
        operation.parameters("header").into_iter().map(|name| format!("{} {name}", operation.id))
    });
    assert_complete(inputs, ROWS.iter().map(|row| format!("{} {}", row.of, row.name)));
    for row in ROWS {
        let Row { of: id, name, query, good, .. } = row;
        let operation = of(&operations, id);
        let ask = async |kind: &str, query: &str, values: &[&str], expected: Outcome| {
            let request = operation.request(&broker, query).await;
            // A GET with ack=auto needs it; other faults are reported after that.
            let is_meant = query.contains("ack=auto") && *name != "Restante-Settle";
            let request = if is_meant { request.header("restante-settle", "yes") } else { request };
            let request = values.iter().fold(request, |request, value| request.header(*name, *value));
            let cell = format!("{id}?{query} {name}: {values:.40?}, {kind}");
            assert_outcome(&cell, request.send().await.unwrap(), expected).await;
        };
        ask("good", query, &[good], Accepted(operation.status())).await;
        ask("duplicate", query, &[good, good], row.duplicate).await;
        ask("empty", query, &[""], row.empty).await;
        for (value, expected) in row.wrong_type.values() {
            ask("wrong type", query, &[value], *expected).await;
        }
        for (value, expected) in row.unknown_value.values() {
            ask("unknown value", query, &[value], *expected).await;
        }
        for (value, expected) in row.out_of_bounds.values() {
            let value = match value {
                Value::Text(text) => (*text).to_owned(),
                Value::Times(times, part) => part.repeat(*times),
            };
            ask("out of bounds", query, &[&value], *expected).await;
        }
        for (query, expected) in row.without_effect.values() {
            ask("without effect", query, &[good], *expected).await;
        }
    }
}

/// `Content-Type` of a push is kept unchanged; the one of a batch is its encoding. OpenAPI describes neither it nor
/// `Accept` as a parameter.
#[tokio::test]
async fn each_media_type_has_one_outcome() {
    let broker = broker().await;
    let operations = operations(&broker).await;
    let unsupported = Refused(P::MediaTypeUnsupported);
    for (id, values, expected) in [
        ("push", &["a/b"][..], PUSHED),
        ("push", &[""], PUSHED),
        ("push", &["a/b", "a/b"], MALFORMED),
        ("pushBatch", &["application/json"], Accepted(200)),
        ("pushBatch", &["APPLICATION/JSON;charset=utf-8"], Accepted(200)),
        ("pushBatch", &["text/plain"], unsupported),
        ("pushBatch", &[""], unsupported),
        ("pushBatch", &[], unsupported),
        ("pushBatch", &["application/json", "application/json"], MALFORMED),
        ("settleMany", &["text/plain"], unsupported),
        ("settleMany", &[""], unsupported),
        ("settleMany", &[], unsupported),
        ("settleMany", &["application/json", "application/json"], MALFORMED),
    ] {
        let body = if id == "settleMany" { "{}" } else { "{\"messages\": []}" };
        let mut request = of(&operations, id).request(&broker, "").await.build().unwrap();
        request.headers_mut().remove("content-type");
        *request.body_mut() = Some(body.into());
        for value in values {
            request.headers_mut().append("content-type", value.parse().unwrap());
        }
        assert_outcome(&format!("{id} {values:?}"), broker.client.execute(request).await.unwrap(), expected)
            .await;
    }
    for accept in ["", "*/*", "image/png", "nonsense"] {
        let request = of(&operations, "pull").request(&broker, "").await.header(ACCEPT, accept);
        assert_outcome(&format!("pull Accept: {accept}"), request.send().await.unwrap(), PULLED).await;
    }
}
