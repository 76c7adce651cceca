//! Query parameters of every route.

use reqwest::header::ACCEPT;
use restante_wire::ProblemType as P;

use super::{
    Cell::{self, Nothing, Values},
    Outcome::{self, Accepted, Refused},
    assert_complete, assert_outcome,
    requests::{broker, of, operations},
};

/// A parameter of an operation. For all parameters, an unknown name is `parameter-unknown`, and a duplicate, an empty
/// value and one of a wrong type are `parameter-malformed`.
struct Row {
    of: &'static str,
    name: &'static str,
    good: &'static str,
    wrong_type: &'static str,
    unknown_value: Cell<&'static str>,
    out_of_bounds: Cell<&'static str>,
    /// Whole queries.
    without_effect: Cell<&'static str>,
}

const MALFORMED: Outcome = Refused(P::ParameterMalformed);
const UNKNOWN: Outcome = Refused(P::ParameterUnknown);
const NUMBER: Cell<&str> = Nothing("it is a number");
const EFFECTIVE: Cell<&str> = Nothing("it has its effect with all others");

/// Parameters of every kind of pull; too many seconds are lowered to the channel's bound, by the contract.
const fn wait(of: &'static str) -> Row {
    Row {
        of,
        name: "wait",
        good: "0",
        wrong_type: "soon",
        unknown_value: NUMBER,
        out_of_bounds: Values(&[("-1", MALFORMED), ("1.5", MALFORMED), ("4294967296", Accepted(204))]),
        without_effect: EFFECTIVE,
    }
}

const fn lease(of: &'static str, accepted: &'static [(&'static str, Outcome)]) -> Row {
    Row {
        of,
        name: "lease",
        good: "30",
        wrong_type: "long",
        unknown_value: NUMBER,
        out_of_bounds: Values(accepted),
        without_effect: EFFECTIVE,
    }
}

const fn ack(of: &'static str) -> Row {
    Row {
        of,
        name: "ack",
        good: "auto",
        wrong_type: "1",
        unknown_value: Values(&[("never", MALFORMED), ("AUTO", MALFORMED)]),
        out_of_bounds: Nothing("it is a word"),
        without_effect: Values(&[("ack=auto&lease=30", MALFORMED)]),
    }
}

const PULLED: &[(&str, Outcome)] = &[("0", MALFORMED), ("-1", MALFORMED), ("4294967296", Accepted(204))];
const RENEWED: &[(&str, Outcome)] = &[("0", MALFORMED), ("-1", MALFORMED), ("4294967296", Accepted(200))];

const ROWS: &[Row] = &[
    wait("pull"),
    lease("pull", PULLED),
    ack("pull"),
    Row {
        of: "pull",
        name: "in_flight",
        good: "1",
        wrong_type: "many",
        unknown_value: NUMBER,
        out_of_bounds: Values(&[("0", MALFORMED), ("101", MALFORMED), ("100", Accepted(200))]),
        // It belongs to streams, which accept neither wait nor ack.
        without_effect: Values(&[("in_flight=1&wait=1", UNKNOWN), ("in_flight=1&ack=auto", UNKNOWN)]),
    },
    wait("receive"),
    lease("receive", PULLED),
    ack("receive"),
    wait("pullBatch"),
    lease("pullBatch", PULLED),
    ack("pullBatch"),
    Row {
        of: "pullBatch",
        name: "max",
        good: "5",
        wrong_type: "all",
        unknown_value: NUMBER,
        out_of_bounds: Values(&[("0", MALFORMED), ("1001", MALFORMED), ("1000", Accepted(204))]),
        without_effect: EFFECTIVE,
    },
    Row {
        of: "pullBatch",
        name: "linger_ms",
        good: "5",
        wrong_type: "5s",
        unknown_value: NUMBER,
        out_of_bounds: Values(&[("5001", MALFORMED), ("5000", Accepted(204))]),
        without_effect: EFFECTIVE,
    },
    Row {
        of: "peek",
        name: "state",
        good: "dead",
        wrong_type: "1",
        unknown_value: Values(&[
            ("expired", MALFORMED),
            ("Dead", MALFORMED),
            ("dead-letter", MALFORMED),
            ("dead-letters", Accepted(200)),
        ]),
        out_of_bounds: Nothing("it is a word"),
        // All parameters of a peek have their effect on dead letters too; a cursor continues in the states that it came
        // from.
        without_effect: Values(&[
            ("state=dead-letters&max=1", Accepted(200)),
            ("state=dead-letters&max=0", MALFORMED),
            ("state=dead-letters&max=1001", MALFORMED),
            ("state=dead-letters&after=AgAAAAAAAAAAAA", Accepted(200)),
            ("state=dead-letters&after=AQAAAAAAAAAA", MALFORMED),
            ("state=dead&after=AgAAAAAAAAAAAA", MALFORMED),
            ("state=dead-letters&lease=5", UNKNOWN),
            ("state=dead-letters&limit=5", UNKNOWN),
        ]),
    },
    Row {
        of: "peek",
        name: "after",
        good: "AQAAAAAAAAAA",
        wrong_type: "7",
        unknown_value: Values(&[("AgAAAAAAAAAA", MALFORMED)]),
        out_of_bounds: Values(&[("AQAAAAAAAAAAAA", MALFORMED), ("AQ__________", Accepted(200))]),
        without_effect: EFFECTIVE,
    },
    Row {
        of: "peek",
        name: "max",
        good: "5",
        wrong_type: "all",
        unknown_value: NUMBER,
        out_of_bounds: Values(&[("0", MALFORMED), ("1001", MALFORMED), ("1000", Accepted(200))]),
        without_effect: EFFECTIVE,
    },
    Row {
        of: "release",
        name: "delay",
        good: "0",
        wrong_type: "later",
        unknown_value: NUMBER,
        out_of_bounds: Values(&[("-1", MALFORMED), ("43201", MALFORMED), ("4294967296", MALFORMED)]),
        without_effect: EFFECTIVE,
    },
    Row {
        of: "release",
        name: "uncounted",
        good: "true",
        wrong_type: "1",
        unknown_value: Values(&[("yes", MALFORMED), ("True", MALFORMED), ("false", Accepted(204))]),
        out_of_bounds: Nothing("it is true or false"),
        without_effect: EFFECTIVE,
    },
    Row {
        of: "reject",
        name: "reason",
        good: "no+such%20part",
        wrong_type: "%ff",
        unknown_value: Nothing("it is any text"),
        out_of_bounds: Values(&[("a%0Ab", MALFORMED), ("%C3%A4", MALFORMED)]),
        without_effect: EFFECTIVE,
    },
    lease("renew", RENEWED),
];

#[tokio::test]
async fn each_invalid_value_of_a_query_parameter_has_one_outcome() {
    let broker = broker().await;
    let operations = operations(&broker).await;
    let inputs = operations.iter().flat_map(|operation| {
        operation.parameters("query").into_iter().map(|name| format!("{}?{name}", operation.id))
    });
    assert_complete(inputs, ROWS.iter().map(|row| format!("{}?{}", row.of, row.name)));
    for row in ROWS {
        let Row { of: id, name, good, wrong_type, .. } = row;
        let operation = of(&operations, id);
        let stream = *name == "in_flight";
        let ask = async |kind: &str, query: &str, expected: Outcome| {
            let request = operation.request(&broker, query).await;
            let request = if stream { request.header(ACCEPT, "text/event-stream") } else { request };
            let settles = query.contains("ack=auto") && !stream;
            let request = if settles { request.header("restante-settle", "yes") } else { request };
            assert_outcome(&format!("{id}?{query}, {kind}"), request.send().await.unwrap(), expected).await
        };
        ask("good", &format!("{name}={good}"), Accepted(if stream { 200 } else { operation.status() })).await;
        let detail = ask("unknown name", &format!("{name}x={good}"), UNKNOWN).await;
        assert!(detail.contains(&format!("did you mean {name}?")), "{detail}");
        ask("duplicate", &format!("{name}={good}&{name}={good}"), MALFORMED).await;
        ask("empty", &format!("{name}="), MALFORMED).await;
        ask("empty", name, MALFORMED).await;
        ask("wrong type", &format!("{name}={wrong_type}"), MALFORMED).await;
        for (value, expected) in row.unknown_value.values() {
            ask("unknown value", &format!("{name}={value}"), *expected).await;
        }
        for (value, expected) in row.out_of_bounds.values() {
            ask("out of bounds", &format!("{name}={value}"), *expected).await;
        }
        for (query, expected) in row.without_effect.values() {
            ask("without effect", query, *expected).await;
        }
    }
}

/// The parameters that a route accepts are the described ones: the refusal of another lists them.
#[tokio::test]
async fn a_parameter_without_effect_on_its_route_is_refused_and_the_detail_names_the_valid_ones() {
    let broker = broker().await;
    let operations = operations(&broker).await;
    let all: Vec<_> = operations.iter().flat_map(|operation| operation.parameters("query")).collect();
    for operation in &operations {
        // Parameters of a pull that is not a stream.
        let mut known = operation.parameters("query");
        known.retain(|name| name != "in_flight");
        for name in all.iter().filter(|name| !known.contains(name)).chain([&"nonsense".to_owned()]) {
            let cell = format!("{}?{name}", operation.id);
            let response = operation.request(&broker, &format!("{name}=1")).await.send().await.unwrap();
            if operation.ignores_parameters() {
                assert_outcome(&cell, response, Accepted(operation.status())).await;
                continue;
            }
            if operation.id.starts_with("count") || ["documentHead", "channelHead"].contains(&&*operation.id)
            {
                // An answer to HEAD has no body.
                assert_eq!(response.status(), 400, "{cell}");
                continue;
            }
            let detail = assert_outcome(&cell, response, UNKNOWN).await;
            let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            assert!(
                detail.ends_with(&format!("this request takes {takes}")),
                "{cell}: {detail}, and not {takes}"
            );
        }
    }
}

/// Probes of load balancers have queries that the broker does not know, and so have links that were shared.
#[tokio::test]
async fn probes_and_pages_ignore_every_query() {
    let broker = broker().await;
    for operation in operations(&broker).await.iter().filter(|operation| operation.ignores_parameters()) {
        for query in ["x", "x=1&x=2", "=", "&&", "%ff", "utm_source=mail", "wait=soon", "wait=1&wait=2"] {
            let response = operation.request(&broker, query).await.send().await.unwrap();
            assert_outcome(&format!("{}?{query}", operation.id), response, Accepted(operation.status()))
                .await;
        }
    }
}
