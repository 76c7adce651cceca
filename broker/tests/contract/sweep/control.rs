//! The control API: its queries, its headers, and the fields of its bodies.

use reqwest::Method;
use restante_wire::{
    ChannelConfig, ProblemType as P,
    control::{DeleteChannel, Purge, Redrive},
};
use serde_json::{Value, json};

use super::{
    Outcome::{self, Accepted, Refused},
    assert_complete, assert_outcome, fields,
};
use crate::{
    broker::Broker,
    operator::{channel, control, orders, with_channels},
};

const BODY: Outcome = Refused(P::BodyMalformed);
const INVALID: Outcome = Refused(P::ChannelInvalid);

/// The routes, with UID for a channel's UID; and whether they read a body.
const ROUTES: [(&str, &str, bool); 9] = [
    ("GET", "revision", false),
    ("GET", "stats", false),
    ("POST", "sync", true),
    ("POST", "backup", false),
    ("PUT", "channels/UID", true),
    ("DELETE", "channels/UID", false),
    ("GET", "channels/UID/stats", false),
    ("POST", "channels/UID/redrive", true),
    ("POST", "channels/UID/purge", true),
];

async fn ask(broker: &Broker, method: &str, path: &str, body: &str) -> reqwest::Response {
    let path = path.replace("UID", &channel("orders").uid.to_string());
    control(broker, method.parse().unwrap(), &path, body.to_owned()).await
}

/// The routes of the source have rows: each method of each `.route(…)`.
#[test]
fn each_route_of_the_control_api_has_a_row() {
    let source = include_str!("../../../src/control/mod.rs");
    let routes: Vec<_> = source.lines().filter(|line| line.trim_start().starts_with(".route(")).collect();
    let methods: usize = routes
        .iter()
        .map(|line| {
            ["get(", "put(", "post(", "delete("]
                .iter()
                .map(|method| line.matches(method).count())
                .sum::<usize>()
        })
        .sum();
    assert_eq!(methods, ROUTES.len(), "{routes:?}");
}

#[tokio::test]
async fn a_parameter_header_or_body_without_effect_on_a_control_route_is_refused() {
    let broker = with_channels(&[orders(|_| ())]).await;
    for (method, path, reads) in ROUTES {
        for name in ["nonsense", "wait", "force"] {
            if (method, name) == ("DELETE", "force") {
                continue;
            }
            let response = ask(&broker, method, &format!("{path}?{name}=1"), "").await;
            assert_outcome(&format!("{method} {path}?{name}"), response, Refused(P::ParameterUnknown)).await;
        }
        if !reads {
            let response = ask(&broker, method, path, "x").await;
            assert_outcome(&format!("{method} {path} with a body"), response, Refused(P::BodyUnexpected))
                .await;
        }
        let url = format!("http://{}/control/v1/{path}", broker.address("--control-listen"));
        let url = url.replace("UID", &channel("orders").uid.to_string());
        for (name, value, expected) in [
            ("message-delay", "1", Refused(P::HeaderMalformed)),
            ("acknowledge", "a", Refused(P::HeaderMalformed)),
            ("restante-settle", "yes", Refused(P::HeaderMalformed)),
            ("content-encoding", "gzip", Refused(P::MediaTypeUnsupported)),
        ] {
            if name == "content-encoding" && !reads {
                continue;
            }
            let request = broker
                .client
                .request(method.parse().unwrap(), &url)
                .bearer_auth("a-credential-that-only-this-test-has");
            let response = request.header(name, value).send().await.unwrap();
            assert_outcome(&format!("{method} {path} {name}"), response, expected).await;
        }
    }
    assert_eq!(fields::of::<DeleteChannel>(), ["force"]);
    for query in ["force=yes", "force=", "force=true&force=true"] {
        let response = ask(&broker, "DELETE", &format!("channels/UID?{query}"), "").await;
        assert_outcome(query, response, Refused(P::ParameterMalformed)).await;
    }
}

#[tokio::test]
async fn each_invalid_value_of_a_redrives_and_a_purges_fields_has_one_outcome() {
    let broker = with_channels(&[orders(|_| ())]).await;
    let uid = channel("orders").uid;
    let nobody = "00000000-0000-0000-0000-000000000001";
    let rows = [
        (
            "redrive",
            "to",
            json!(uid),
            vec![
                (json!(5), BODY),
                (json!(""), BODY),
                (json!("nonsense"), BODY),
                (json!(nobody), Refused(P::ChannelUnknown)),
                (json!(null), Accepted(200)),
            ],
        ),
        (
            "redrive",
            "limit",
            json!(5),
            vec![
                (json!("5"), BODY),
                (json!(0), BODY),
                (json!(-1), BODY),
                (json!(1.5), BODY),
                (json!(null), Accepted(200)),
            ],
        ),
        (
            "purge",
            "states",
            json!(["dead"]),
            vec![
                (json!("dead"), BODY),
                (json!([]), BODY),
                (json!(["leased"]), BODY),
                (json!([5]), BODY),
                (json!({}), BODY),
                (json!(null), BODY),
            ],
        ),
    ];
    let inputs = [("redrive", fields::of::<Redrive>()), ("purge", fields::of::<Purge>())];
    let inputs = inputs
        .into_iter()
        .flat_map(|(of, fields)| fields.into_iter().map(move |field| format!("{of}.{field}")));
    assert_complete(inputs, rows.iter().map(|(of, field, ..)| format!("{of}.{field}")));
    for (of, field, good, others) in rows {
        let path = format!("channels/UID/{of}");
        let outcome = async |body: String, expected: Outcome| {
            assert_outcome(&format!("{of} {body}"), ask(&broker, "POST", &path, &body).await, expected).await
        };
        outcome(format!("{{\"{field}\": {good}}}"), Accepted(200)).await;
        outcome(format!("\u{feff}{{\"{field}\": {good}}}"), Accepted(200)).await;
        let detail = outcome(format!("{{\"{field}x\": {good}}}"), BODY).await;
        assert!(
            detail.contains(&format!("{field}x is an unknown field (did you mean {field}?)")),
            "{detail}"
        );
        outcome(format!("{{\"{field}\": {good}, \"{field}\": {good}}}"), BODY).await;
        for (value, expected) in others {
            outcome(format!("{{\"{field}\": {value}}}"), expected).await;
        }
        outcome("[]".into(), BODY).await;
    }
    // Fields of answers are not accepted.
    for (of, answered) in
        [("redrive", "moved"), ("redrive", "left"), ("redrive", "leftIn"), ("purge", "purged")]
    {
        let good = if of == "redrive" { "" } else { "\"states\": [\"dead\"], " };
        let body = format!("{{{good}\"{answered}\": 1}}");
        let detail =
            assert_outcome(&body, ask(&broker, "POST", &format!("channels/UID/{of}"), &body).await, BODY)
                .await;
        assert!(detail.contains(&format!("{answered} is an unknown field")), "{detail}");
    }
}

/// Every field of a channel, by its path, with values that are out of bounds or unknown; none if every value of its
/// type is valid.
fn bounds() -> Vec<(&'static str, Vec<(Value, Outcome)>)> {
    let invalid = |value| vec![(value, INVALID)];
    let malformed = |value| vec![(value, BODY)];
    let many: Vec<_> = (0..17).map(|number| format!("a{number}")).collect();
    let header_lists = [
        json!(["authorization"]),
        json!(["message-*"]),
        json!(["restante-settle"]),
        json!(["x-*"]),
        json!(["X-GitHub-Event"]),
        json!([""]),
        json!(["*"]),
        json!(["a b"]),
        json!(["a*b"]),
        json!(["a".repeat(65)]),
        json!(["a", "b", "a"]),
        json!(many),
    ];
    let mut keep_headers: Vec<_> = header_lists.into_iter().map(|list| (list, INVALID)).collect();
    keep_headers.extend([(json!("x-github-*"), BODY), (json!([5]), BODY), (json!({}), BODY)]);
    vec![
        ("keepHeaders", keep_headers),
        ("uid", malformed(json!("nonsense"))),
        ("namespace", invalid(json!("Acme"))),
        ("name", invalid(json!(""))),
        ("generation", vec![]),
        ("destinations", invalid(json!([]))),
        ("sharedDestination", vec![]),
        ("source", malformed(json!("Acme/orders"))),
        ("paused", vec![]),
        ("closing", vec![]),
        ("delivery", vec![]),
        ("delivery.waitSeconds", invalid(json!(21))),
        ("delivery.maxWaitSeconds", invalid(json!(301))),
        ("delivery.leaseSeconds", invalid(json!(0))),
        ("delivery.maxLeaseSeconds", invalid(json!(43201))),
        ("delivery.maxDeliveries", invalid(json!(0))),
        ("delivery.backoff", vec![]),
        ("delivery.backoff.policy", malformed(json!("Nonsense"))),
        ("delivery.backoff.initialSeconds", invalid(json!(301))),
        ("delivery.backoff.maxSeconds", invalid(json!(43201))),
        ("delivery.order", malformed(json!("Lifo"))),
        ("deadLetter", vec![]),
        ("deadLetter.channel", invalid(json!("orders"))),
        ("deadLetter.ttlSeconds", invalid(json!(31536001))),
        ("limits", vec![]),
        ("limits.messages", invalid(json!(0))),
        ("limits.bytes", invalid(json!(0))),
        ("limits.messageBytes", invalid(json!(16777217))),
        ("limits.ttlSeconds", invalid(json!(31536001))),
        ("limits.maxDelaySeconds", invalid(json!(31536001))),
        ("limits.pushesPerSecond", invalid(json!(1000001))),
        ("expired", malformed(json!("Nonsense"))),
        ("whenFull", malformed(json!("Nonsense"))),
        ("deduplicationWindowSeconds", invalid(json!(604801))),
        ("durability", malformed(json!("Nonsense"))),
        ("access", vec![]),
        ("access.anonymous", invalid(json!(false))),
    ]
}

/// Adds the numbers that have no row, with the bounds of the custom resource. A number that was added after the first
/// version is not serialized while it has its default.
fn add_later_numbers(good: &mut Value, bounds: &mut Vec<(&'static str, Vec<(Value, Outcome)>)>) {
    for number in restante_crds::definitions::channel_numbers() {
        if bounds.iter().any(|(path, _)| *path == number.path) {
            continue;
        }
        let at = number.path.split('.').fold(&mut *good, |at, field| &mut at[field]);
        if at.is_null() {
            *at = json!(number.most);
        }
        bounds.push((number.path.leak(), vec![(json!(number.most + 1), INVALID)]));
    }
}

/// The paths of all fields of an object, and of nested objects.
fn paths(value: &Value, before: &str, found: &mut Vec<String>) {
    for (field, value) in value.as_object().into_iter().flatten() {
        let path = if before.is_empty() { field.clone() } else { format!("{before}.{field}") };
        paths(value, &path, found);
        found.push(path);
    }
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

#[tokio::test]
async fn each_invalid_value_of_a_channels_fields_has_one_outcome() {
    let mut config = orders(|_| ());
    config.dead_letter.channel = Some("dead".into());
    config.keep_headers = ["x-github-*", "stripe-signature"].into_iter().collect();
    let broker = with_channels(std::slice::from_ref(&config)).await;
    let mut good = serde_json::to_value(&config).unwrap();
    let mut bounds = bounds();
    add_later_numbers(&mut good, &mut bounds);
    let mut inputs = Vec::new();
    paths(&good, "", &mut inputs);
    // The value has every field.
    let mut top: Vec<_> = good.as_object().unwrap().keys().cloned().collect();
    let mut read = fields::of::<ChannelConfig>();
    top.sort();
    read.sort();
    assert_eq!(top, read);
    assert_complete(inputs, bounds.iter().map(|(path, _)| (*path).to_owned()));
    let outcome = async |cell: &str, body: &str, expected: Outcome| {
        // As a line of a whole set as well, which is then not applied.
        let line = ask(&broker, "POST", "sync", body).await;
        assert_outcome(&format!("sync {cell}"), line, expected).await;
        assert_outcome(&format!("put {cell}"), ask(&broker, "PUT", "channels/UID", body).await, expected)
            .await
    };
    outcome("good", &good.to_string(), Accepted(200)).await;
    for (path, beyond) in bounds {
        let (parent, field) = path.rsplit_once('.').map_or(("", path), |(parent, field)| (parent, field));
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut changed = good.clone();
            let at = if parent.is_empty() { String::new() } else { pointer(parent) };
            change(changed.pointer_mut(&at).unwrap());
            changed.to_string()
        };
        let unknown = changed(&|object| object[format!("{field}x")] = json!(1));
        let detail = outcome(&format!("{path}: unknown name"), &unknown, BODY).await;
        assert!(detail.contains(&format!("{path}x is an unknown field (did you mean ")), "{detail}");
        let wrong = changed(&|object| object[field] = json!([[5]]));
        let detail = outcome(&format!("{path}: wrong type"), &wrong, BODY).await;
        assert!(detail.contains(path), "{path}: {detail}");
        let value = good.pointer(&pointer(path)).unwrap();
        let marked = changed(&|object| object[field] = json!("TWICE"));
        let twice = marked.replace("\"TWICE\"", &format!("{value},\"{field}\":{value}"));
        let detail = outcome(&format!("{path}: duplicate"), &twice, BODY).await;
        assert!(detail.contains(&format!("{path} is given more than once")), "{detail}");
        for (value, expected) in beyond {
            let beyond = changed(&|object| object[field] = value.clone());
            outcome(&format!("{path}: {value}"), &beyond, expected).await;
        }
    }
    let response = control(&broker, Method::GET, "revision", String::new()).await;
    assert_eq!(response.json::<Value>().await.unwrap()["channels"], 1, "the set is unchanged");
}
