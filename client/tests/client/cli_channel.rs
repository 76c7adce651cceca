//! `restante peek` and `dead-letters`.

use restante_client::{DeadLettersLeft, LeftBecause, ProblemType, Purged, Redriven};
use restante_wire::{
    DeadLetterCause,
    batch::{DeadLetterNote, DeliveredHead, DeliveredItem, PeekedBatch},
};

use crate::support::{
    broker::{Broker, Seen},
    command::{command, run, stderr, text},
    reply::{answer, item, json, problem},
    soon,
};

fn dead(number: usize) -> DeliveredItem {
    let note = DeadLetterNote {
        cause: DeadLetterCause::Rejected,
        reason: Some("no bolts".into()),
        since: "2026-11-23T05:06:07Z".into(),
        channel: Some("demo/orders".into()),
        held_in: Some("demo/orders-dead".into()),
    };
    let DeliveredItem { content, head } = item(number, 30);
    let head = DeliveredHead { lease: None, lease_seconds: None, dead_letter: Some(note), ..head };
    DeliveredItem { content, head }
}

/// Two pages of one message each.
async fn two_pages() -> Broker {
    Broker::start(|seen: &Seen, _| {
        json(&match seen.path.contains("after=") {
            false => PeekedBatch { messages: vec![dead(1)], next: Some("c1".into()) },
            true => PeekedBatch { messages: vec![dead(2)], next: None },
        })
    })
    .await
}

#[tokio::test]
async fn messages_are_peeked_at_in_pages_as_a_table_or_json() {
    let broker = two_pages().await;
    let shown = run(&broker.url, &["peek", "demo/orders", "--state", "delayed"]).await;
    assert!(shown.status.success(), "{}", stderr(&shown));
    let table = String::from_utf8(shown.stdout).unwrap();
    assert!(table.starts_with("ID") && table.lines().count() == 3, "{table}");
    assert!(table.contains("text/plain") && table.contains("g1"), "{table}");
    let lines: Vec<_> = broker.log().seen.iter().map(Seen::line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/peek/demo/orders?state=delayed&max=100",
            "GET /v1/peek/demo/orders?state=delayed&after=c1&max=99"
        ]
    );

    let shown = run(&broker.url, &["peek", "demo/orders", "--max", "1", "-o", "json"]).await;
    let found: PeekedBatch = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((found.messages.len(), found.next.as_deref()), (1, Some("c1")));
    assert_eq!(found.messages[0].content.0, b"message 1");
    let shown = run(&broker.url, &["peek", "demo/orders", "--max", "1"]).await;
    assert!(stderr(&shown).contains("--after c1"), "{}", stderr(&shown));
}

#[tokio::test]
async fn dead_letters_are_listed_with_their_cause() {
    let broker = two_pages().await;
    let shown = run(&broker.url, &["dead-letters", "list", "demo/orders"]).await;
    assert!(shown.status.success(), "{}", stderr(&shown));
    let table = String::from_utf8(shown.stdout).unwrap();
    for expected in ["rejected", "no bolts", "demo/orders", "demo/orders-dead"] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
    assert!(broker.log().seen[0].path.contains("state=dead-letters"));
    let broker = Broker::start(|_, _| problem(404, ProblemType::AddressUnknown)).await;
    let unknown = run(&broker.url, &["dead-letters", "list", "demo/orders"]).await;
    assert_eq!(unknown.status.code(), Some(4));
    assert!(stderr(&unknown).contains("demo/orders"));
}

#[tokio::test]
async fn dead_letters_are_redriven_and_purged_through_the_control_port() {
    let stats = |uid: u8, name: &str| {
        let body = format!(
            r#"{{"uid":"00000000-0000-0000-0000-00000000000{uid}","namespace":"demo","name":"{name}","ready":0,
                "leased":0,"bytes":0,"waitingReceivers":0}}"#
        );
        answer(200, &[("content-type", "application/json")], body)
    };
    let broker = Broker::start(move |seen: &Seen, _| match seen.path.as_str() {
        "/v1/channels/demo/orders" => stats(1, "orders"),
        "/v1/channels/demo/more" => stats(2, "more"),
        path if path.ends_with("/redrive") => json(&Redriven { moved: 3, left: 4, ..Redriven::default() }),
        _ => json(&Purged { purged: 5 }),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token-of-the-control-port-of-this-test\n").unwrap();
    let dead_letters = async |arguments: &[&str]| {
        let arguments = [&["dead-letters"][..], arguments].concat();
        let mut run = command(&broker.url, &arguments);
        run.env("RESTANTE_CONTROL_URL", &broker.url).env("RESTANTE_CONTROL_TOKEN_FILE", text(&token));
        let ended = soon(run.output()).await.unwrap();
        assert!(ended.status.success(), "{}", stderr(&ended));
        String::from_utf8(ended.stdout).unwrap()
    };
    let redriven = dead_letters(&["redrive", "demo/orders", "--to", "demo/more", "--limit", "3"]).await;
    assert_eq!(redriven.split_whitespace().collect::<Vec<_>>(), ["MOVED", "NOT", "MOVED", "3", "4"]);
    let purged = dead_letters(&["purge", "demo/orders", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Purged>(&purged).unwrap().purged, 5);
    let log = broker.log();
    let changes: Vec<_> = log.seen.iter().filter(|seen| seen.method == "POST").collect();
    let uid = "00000000-0000-0000-0000-000000000001";
    assert_eq!(changes[0].path, format!("/control/v1/channels/{uid}/redrive"));
    assert_eq!(changes[0].body, r#"{"to":"00000000-0000-0000-0000-000000000002","limit":3}"#);
    assert_eq!(changes[0].header("authorization"), "Bearer a-token-of-the-control-port-of-this-test");
    assert_eq!(changes[1].path, format!("/control/v1/channels/{uid}/purge"));
}

#[tokio::test]
async fn a_redrive_that_moves_nothing_reports_where_the_dead_letters_are_and_fails_if_there_are_any() {
    let redriven = [
        (Redriven::default(), 0, "no dead letters found: none of demo/orders"),
        (
            Redriven {
                moved: 0,
                left: 2,
                left_in: vec![DeadLettersLeft {
                    channel: "demo/orders-dead".into(),
                    messages: 2,
                    because: LeftBecause::Leased,
                }],
            },
            4,
            "2 left in demo/orders-dead: receivers have leased them",
        ),
    ];
    for (answered, code, expected) in redriven {
        let stats = r#"{"uid":"00000000-0000-0000-0000-000000000001","namespace":"demo","name":"orders","ready":0,
                        "leased":0,"bytes":0,"waitingReceivers":0}"#;
        let broker = Broker::start(move |seen: &Seen, _| match seen.path.as_str() {
            "/v1/channels/demo/orders" => answer(200, &[("content-type", "application/json")], stats),
            _ => json(&answered),
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "a-token-of-the-control-port-of-this-test").unwrap();
        let mut run = command(&broker.url, &["dead-letters", "redrive", "demo/orders"]);
        run.env("RESTANTE_CONTROL_URL", &broker.url).env("RESTANTE_CONTROL_TOKEN_FILE", text(&token));
        let ended = soon(run.output()).await.unwrap();
        assert_eq!(ended.status.code(), Some(code), "{}", stderr(&ended));
        assert!(stderr(&ended).contains(expected), "{}", stderr(&ended));
    }
}

#[tokio::test]
async fn without_the_control_token_no_request_is_sent() {
    let broker = two_pages().await;
    let ended = run(&broker.url, &["dead-letters", "purge", "demo/orders"]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
    let arguments = ["dead-letters", "purge", "demo/orders", "--control-token-file", "/no/such/token"];
    let ended = run(&broker.url, &arguments).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr(&ended).contains("/no/such/token"), "{}", stderr(&ended));
    assert!(broker.log().seen.is_empty());
}
