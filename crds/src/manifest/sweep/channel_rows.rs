//! Values for each field of a MessageChannel.

use serde_json::{Value, json};

use super::Row;
use crate::definitions;

/// The rows of all fields. A number without a row has the values of its bounds.
pub(super) fn all() -> Vec<Row> {
    let mut rows = rows();
    for number in definitions::channel_numbers() {
        if !rows.iter().any(|(path, ..)| *path == number.path) {
            let mut beyond = beyond(number.least.cast_signed(), number.most.cast_signed());
            // The default of an optional number.
            beyond.retain(|value| !value.is_null());
            rows.push((number.path.leak(), json!(number.most), beyond));
        }
    }
    rows
}

/// Values that a number with these bounds cannot have.
fn beyond(least: i64, most: i64) -> Vec<Value> {
    vec![json!(least - 1), json!(most + 1), json!(1.5), json!("5"), json!(null)]
}

fn rows() -> Vec<Row> {
    let switch = || vec![json!("true"), json!(1), json!(null)];
    let word = || vec![json!(""), json!("Nonsense"), json!(5), json!(null)];
    let label = |most: usize| {
        vec![json!(""), json!("Upper"), json!("-a"), json!("a/b"), json!("a".repeat(most + 1)), json!(5)]
    };
    let size = || vec![json!(""), json!("0"), json!("1Ei"), json!("much"), json!(-1), json!(true)];
    let object = || vec![json!([]), json!("x"), json!(null)];
    vec![
        ("access", json!({"anonymous": true}), vec![json!({}), json!([]), json!(null)]),
        ("access.anonymous", json!(true), vec![json!(false), json!("true"), json!(null)]),
        ("brokerRef", json!({"name": "default"}), object()),
        ("brokerRef.name", json!("default"), label(40)),
        ("brokerRef.namespace", json!("mq"), label(63)),
        ("deadLetter", json!({"ttlSeconds": 5}), object()),
        ("deadLetter.channelRef", json!({"name": "dead"}), vec![json!({}), json!([]), json!("dead")]),
        ("deadLetter.channelRef.name", json!("dead"), label(63)),
        ("deadLetter.ttlSeconds", json!(5), beyond(0, 31_536_000)),
        ("deduplicationWindowSeconds", json!(5), beyond(0, 604_800)),
        ("deletionPolicy", json!("Drain"), word()),
        ("delivery", json!({"waitSeconds": 5}), object()),
        ("delivery.backoff", json!({"policy": "Constant"}), object()),
        ("delivery.backoff.initialSeconds", json!(5), beyond(0, 300)),
        ("delivery.backoff.maxSeconds", json!(400), beyond(1, 43_200)),
        ("delivery.backoff.policy", json!("Constant"), word()),
        ("delivery.leaseSeconds", json!(5), beyond(1, 3600)),
        ("delivery.maxDeliveries", json!(5), beyond(1, 1000)),
        ("delivery.maxLeaseSeconds", json!(60), beyond(30, 43_200)),
        ("delivery.maxWaitSeconds", json!(60), beyond(10, 300)),
        ("delivery.order", json!("Strict"), word()),
        ("delivery.waitSeconds", json!(5), beyond(0, 20)),
        (
            "destinations",
            json!(["a", "a/b"]),
            vec![
                json!([]),
                json!([""]),
                json!(["A"]),
                json!(["/a"]),
                json!("a"),
                json!(["a", "a"]),
                json!((0..17).map(|number| format!("a{number}")).collect::<Vec<_>>()),
            ],
        ),
        ("durability", json!("Memory"), word()),
        ("expired", json!("DeadLetter"), word()),
        (
            "keepHeaders",
            json!(["x-github-*", "stripe-signature"]),
            vec![
                json!("x-github-*"),
                json!([""]),
                json!(["*"]),
                json!(["X-GitHub-Event"]),
                json!(["a b"]),
                json!(["a*b"]),
                json!(["a-"]),
                json!(["a".repeat(65)]),
                json!(["authorization"]),
                json!(["x-*"]),
                json!(["message-id"]),
                json!(["restante-settle"]),
                json!(["a", "a"]),
                json!([5]),
                json!((0..17).map(|number| format!("a{number}")).collect::<Vec<_>>()),
                json!(null),
            ],
        ),
        ("limits", json!({"messages": 5}), object()),
        ("limits.bytes", json!("1.5Gi"), size()),
        ("limits.maxDelaySeconds", json!(5), beyond(0, 31_536_000)),
        ("limits.messageBytes", json!(4096), size()),
        ("limits.messages", json!(5), beyond(1, 100_000_000)),
        ("limits.pushesPerSecond", json!(5), beyond(0, 1_000_000)),
        ("limits.ttlSeconds", json!(5), beyond(0, 31_536_000)),
        ("paused", json!(true), switch()),
        ("sharedDestination", json!(true), switch()),
        (
            "source",
            json!("a/b"),
            vec![json!(""), json!("A"), json!("/a"), json!("a/"), json!("a".repeat(190)), json!(5)],
        ),
        ("whenFull", json!("DropOldest"), word()),
    ]
}
