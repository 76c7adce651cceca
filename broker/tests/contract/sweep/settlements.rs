//! The fields of settlements.

use reqwest::{Method, header::CONTENT_TYPE};
use restante_wire::{
    ProblemType as P,
    batch::{LeaseResult, Reject, Release, Renew, SettlementResults, Settlements},
};
use serde_json::{Value, json};

use super::{
    Outcome::{self, Accepted, Refused},
    assert_complete, assert_no_rust_terms, assert_outcome, fields,
};
use crate::{
    broker::{Broker, header},
    operator::with_orders,
};

const BODY: Outcome = Refused(P::BodyMalformed);
const ITEM: Outcome = Refused(P::ParameterMalformed);
const UNKNOWN: Outcome = Refused(P::LeaseUnknown);

/// A field of an object in a list. An unknown name, a duplicate and a wrong type are `body-malformed`, and nothing is
/// done.
struct Row {
    list: &'static str,
    field: &'static str,
    good: Value,
    wrong_type: Value,
    /// The state of the lease after an empty value, an unknown one, or one out of bounds.
    others: Vec<(Value, Outcome)>,
}

fn rows() -> Vec<Row> {
    let lease = |list| Row {
        list,
        field: "lease",
        good: json!("LEASE"),
        wrong_type: json!(5),
        others: vec![(json!(""), UNKNOWN), (json!("nonsense"), UNKNOWN), (json!(null), BODY)],
    };
    vec![
        lease("release"),
        Row {
            list: "release",
            field: "delay",
            good: json!(0),
            wrong_type: json!("0"),
            others: vec![
                (json!(null), Accepted(204)),
                (json!(-1), BODY),
                (json!(1.5), BODY),
                (json!(43201), ITEM),
                (json!(4294967296_u64), BODY),
            ],
        },
        Row {
            list: "release",
            field: "uncounted",
            good: json!(true),
            wrong_type: json!("true"),
            others: vec![(json!(false), Accepted(204)), (json!(null), BODY), (json!(1), BODY)],
        },
        lease("reject"),
        Row {
            list: "reject",
            field: "reason",
            good: json!("no such part"),
            wrong_type: json!(5),
            others: vec![
                (json!(null), Accepted(204)),
                (json!(""), ITEM),
                (json!("a\nb"), ITEM),
                (json!("r".repeat(256)), ITEM),
            ],
        },
        lease("renew"),
        Row {
            list: "renew",
            field: "seconds",
            good: json!(30),
            wrong_type: json!("30"),
            others: vec![
                (json!(null), Accepted(200)),
                (json!(0), ITEM),
                (json!(-1), BODY),
                (json!(4294967295_u64), Accepted(200)),
                (json!(4294967296_u64), BODY),
            ],
        },
    ]
}

async fn settled(broker: &Broker, body: String) -> reqwest::Response {
    let request = broker.request(Method::POST, "/v1/settlements").header(CONTENT_TYPE, "application/json");
    request.body(body).send().await.unwrap()
}

/// The state of the only lease of a body, in which LEASE stands for a valid one.
async fn assert_lease(broker: &Broker, body: &str, expected: Outcome) -> String {
    broker.pushed("acme/orders", "x").await;
    let response = broker.pull("acme/orders", "wait=5&lease=60").send().await.unwrap();
    let lease = header(&response, "location");
    let response = settled(broker, body.replace("LEASE", &lease)).await;
    if response.status() != 200 {
        let detail = assert_outcome(body, response, expected).await;
        // Nothing was done: the lease is unchanged.
        let settle = broker.request(Method::DELETE, &lease).send().await.unwrap();
        assert_eq!(settle.status(), 204, "{body}");
        return detail;
    }
    let results: SettlementResults = response.json().await.unwrap();
    let SettlementResults { ack, release, reject, renew } = &results;
    let all: Vec<&LeaseResult> = [ack, release, reject, renew].into_iter().flatten().collect();
    assert_eq!(all.len(), 1, "{body}: {results:?}");
    let outcome = match &all[0].problem {
        Some(problem) => {
            assert_no_rust_terms(body, &problem.detail);
            Refused(problem.problem_type().unwrap())
        }
        None => Accepted(all[0].status),
    };
    assert_eq!(outcome, expected, "{body}: {results:?}");
    String::new()
}

#[tokio::test]
async fn each_invalid_value_of_a_settlements_fields_has_one_outcome() {
    let broker = with_orders(|_| ()).await;
    let rows = rows();
    let lists = fields::of::<Settlements>();
    assert_complete(lists.clone(), ["ack", "release", "reject", "renew"].map(Into::into));
    let of_lists = [
        ("release", fields::of::<Release>()),
        ("reject", fields::of::<Reject>()),
        ("renew", fields::of::<Renew>()),
    ];
    let inputs = of_lists
        .into_iter()
        .flat_map(|(list, fields)| fields.into_iter().map(move |field| format!("{list}[].{field}")));
    assert_complete(inputs, rows.iter().map(|row| format!("{}[].{}", row.list, row.field)));
    for list in &lists {
        let item = if list == "ack" { "\"LEASE\"" } else { "{\"lease\": \"LEASE\"}" };
        let detail = assert_lease(&broker, &format!("{{\"{list}x\": [{item}]}}"), BODY).await;
        assert!(detail.contains(&format!("did you mean {list}?")), "{detail}");
        assert_lease(&broker, &format!("{{\"{list}\": [], \"{list}\": [{item}]}}"), BODY).await;
        for wrong in ["{}", "5", "null", "\"LEASE\"", "[5]", "[null]", "[[\"LEASE\"]]"] {
            assert_lease(&broker, &format!("{{\"{list}\": {wrong}}}"), BODY).await;
        }
        assert_eq!(settled(&broker, format!("{{\"{list}\": []}}")).await.status(), 200);
    }
    for Row { list, field, good, wrong_type, others } in &rows {
        let with = if *field == "lease" { "" } else { "\"lease\": \"LEASE\", " };
        let body = |more: String| format!("{{\"{list}\": [{{{with}{more}}}]}}");
        let status = if *list == "renew" { 200 } else { 204 };
        assert_lease(&broker, &body(format!("\"{field}\": {good}")), Accepted(status)).await;
        let detail = assert_lease(&broker, &body(format!("\"{field}x\": {good}")), BODY).await;
        assert!(
            detail.contains(&format!("{list}[0].{field}x is an unknown field (did you mean {field}?)")),
            "{detail}"
        );
        assert_lease(&broker, &body(format!("\"{field}\": {good}, \"{field}\": {good}")), BODY).await;
        let detail = assert_lease(&broker, &body(format!("\"{field}\": {wrong_type}")), BODY).await;
        assert!(detail.contains(&format!("{list}[0].{field} must be ")), "{detail}");
        for (value, expected) in others {
            assert_lease(&broker, &body(format!("\"{field}\": {value}")), *expected).await;
        }
    }
}
