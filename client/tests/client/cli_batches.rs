//! `restante push --batch`, `pull --max` and `pull --workers`.

use std::process::Stdio;

use restante_client::ProblemType;
use restante_wire::batch::{ItemHead, PushResults, Settlements, decode_frames};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{
    broker::{Broker, Log, Seen},
    command::{command, run, run_with, signal, stderr, text},
    reply::{ID, Reply, frames, item, json, no_content, result, settled},
    soon,
};

fn pushed(seen: &Seen) -> Vec<(ItemHead, &[u8])> {
    decode_frames(&seen.body).unwrap()
}

async fn storing() -> Broker {
    Broker::start(|seen: &Seen, _| {
        json(&PushResults { results: vec![result(201, None); pushed(seen).len()] })
    })
    .await
}

#[tokio::test]
async fn each_line_of_a_batch_is_a_message_in_json() {
    let broker = storing().await;
    let input =
        b"{\"content\":\"one\",\"group\":\"g\"}\n\n{\"content64\":\"AP8=\",\"headers\":{\"meta-a\":\"b\"}}";
    let arguments = ["push", "demo/orders", "--batch", "-", "--idempotency-key", "job", "--ttl", "60"];
    let sent = run_with(&broker.url, &arguments, input).await;
    assert!(sent.status.success(), "{}", stderr(&sent));
    assert_eq!(sent.stdout, format!("{ID}\n").repeat(2).as_bytes());
    let log = broker.log();
    let frames = pushed(&log.seen[0]);
    assert_eq!((log.seen.len(), frames.len()), (1, 2));
    let (head, content) = &frames[0];
    assert_eq!((head.group.as_deref(), head.ttl_seconds, *content), (Some("g"), Some(60), &b"one"[..]));
    assert_eq!(head.idempotency_key.as_deref(), Some("job-1"));
    let (head, content) = &frames[1];
    assert_eq!((head.idempotency_key.as_deref(), *content), (Some("job-3"), &[0, 255][..]));
    assert!(head.headers.contains_key("meta-a"));
}

#[tokio::test]
async fn a_batch_of_lines_sends_each_unchanged_in_several_requests_if_needed() {
    let broker = storing().await;
    let arguments = ["push", "demo/orders", "--batch", "--lines", "--group", "g"];
    let sent = run_with(&broker.url, &arguments, "line\n".repeat(1001).as_bytes()).await;
    assert!(sent.status.success(), "{}", stderr(&sent));
    let log = broker.log();
    let counts: Vec<_> = log.seen.iter().map(|seen| pushed(seen).len()).collect();
    assert_eq!(counts, [1000, 1]);
    let (head, content) = &pushed(&log.seen[1])[0];
    assert_eq!((head.group.as_deref(), *content), (Some("g"), &b"line"[..]));
}

#[tokio::test]
async fn a_refused_message_of_a_batch_is_reported_with_its_line_and_the_others_are_sent() {
    let broker = Broker::start(|_, _| {
        let refused = result(413, Some(ProblemType::MessageTooLarge));
        json(&PushResults { results: vec![result(201, None), refused, result(201, None)] })
    })
    .await;
    let sent = run_with(&broker.url, &["push", "demo/orders", "--batch", "--lines"], b"1\n2\n3\n").await;
    assert_eq!(sent.status.code(), Some(4));
    let printed = stderr(&sent);
    assert!(printed.contains("failed to send line 2") && printed.contains("messages sent: 2"), "{printed}");
    assert_eq!(sent.stdout, format!("{ID}\n").repeat(2).as_bytes());

    let sent = run_with(&broker.url, &["push", "demo/orders", "--batch"], b"seven bolts\n").await;
    assert_eq!(sent.status.code(), Some(1));
    assert!(stderr(&sent).contains("line 1 is invalid"), "{}", stderr(&sent));
    assert_eq!(broker.log().seen.len(), 1);
}

#[tokio::test]
async fn an_invalid_line_is_refused_with_its_number_and_its_batch_is_not_sent() {
    let broker = Broker::start(|_, _| no_content()).await;
    for (line, options, expected) in [
        (r#"{"body": "important"}"#, &[][..], "body is an unknown field"),
        (r#"{"content": "a", "delay": 60}"#, &[], "delay is an unknown field (did you mean delaySeconds?)"),
        (r#"{"content": "a", "key": "k"}"#, &[], "key is an unknown field (did you mean idempotencyKey?)"),
        ("{}", &[], "the content is missing"),
        (r#"{"content": "a", "content64": "YQ=="}"#, &[], "are both given"),
        (r#"{"content": 5}"#, &[], "content must be a string, not the number 5"),
        (
            r#"{"content": "a", "contentType": "a/b", "headers": {"content-type": "c/d"}}"#,
            &[],
            "more than once",
        ),
        (
            r#"{"content": "a", "contentType": "a/b"}"#,
            &["-t", "c/d"],
            "contentType and the option --content-type",
        ),
        (
            r#"{"content": "a", "idempotencyKey": "k"}"#,
            &["--idempotency-key", "l"],
            "idempotencyKey and the option",
        ),
        (
            r#"{"content": "a", "group": "g"}"#,
            &["--group", "h"],
            "group and the option --group are both given",
        ),
        (r#"{"content": "a", "delaySeconds": 1}"#, &["--delay", "2"], "delaySeconds and the option --delay"),
        (
            r#"{"content": "a", "ttlSeconds": 1}"#,
            &["--ttl", "2"],
            "ttlSeconds and the option --ttl are both given",
        ),
    ] {
        let input = format!("{{\"content\": \"good\"}}\n{line}\n");
        let arguments = [&["push", "demo/orders", "--batch"][..], options].concat();
        let sent = run_with(&broker.url, &arguments, input.as_bytes()).await;
        let printed = stderr(&sent);
        assert_eq!(sent.status.code(), Some(1), "{line}: {printed}");
        assert!(printed.contains("line 2 is invalid") && printed.contains(expected), "{line}: {printed}");
    }
    assert_eq!(broker.log().seen.len(), 0);
}

#[tokio::test]
async fn a_single_valued_header_given_twice_is_refused() {
    let broker = Broker::start(|_, _| crate::support::reply::stored()).await;
    for options in [
        &["push", "demo/orders", "-t", "a/b", "-H", "Content-Type: c/d"][..],
        &["push", "demo/orders", "-H", "Reply-To: a/b", "-H", "reply-to: c/d"],
        &["request", "demo/orders", "--reply-to", "a/b", "-H", "Reply-To: c/d"],
        &["request", "demo/orders", "--reply-to", "a/b", "-H", "Correlation-Id: c"],
        &["reply", "--to", "a/b", "--correlation-id", "c", "-H", "Correlation-Id: d"],
    ] {
        let sent = run(&broker.url, options).await;
        assert_eq!(sent.status.code(), Some(2), "{options:?}: {}", stderr(&sent));
        assert!(stderr(&sent).contains("is given more than once"), "{}", stderr(&sent));
    }
    assert_eq!(broker.log().seen.len(), 0);
    let sent = run(&broker.url, &["push", "demo/orders", "-H", "Meta-a: 1", "-H", "Meta-a: 2"]).await;
    assert!(sent.status.success(), "{}", stderr(&sent));
}

#[tokio::test]
async fn a_push_has_a_group_a_delay_a_time_to_live_and_may_wait_for_room() {
    let broker = Broker::start(|_, _| crate::support::reply::stored()).await;
    let options = ["--group", "g", "--delay", "5", "--ttl", "60", "--wait-for-room", "20"];
    let sent = run(&broker.url, &[&["push", "demo/orders"][..], &options].concat()).await;
    assert!(sent.status.success(), "{}", stderr(&sent));
    let names = ["message-group", "message-delay", "message-ttl", "prefer"];
    assert_eq!(names.map(|name| broker.log().seen[0].header(name).to_owned()), ["g", "5", "60", "wait=20"]);
    let bad = run(&broker.url, &["push", "demo/orders", "--group", "a b"]).await;
    assert_eq!(bad.status.code(), Some(2), "{}", stderr(&bad));
}

/// A broker that delivers `count` messages at once, and then holds pulls until the client hangs up.
async fn with_messages(count: usize) -> Broker {
    Broker::start(move |seen: &Seen, number| match seen.method.as_str() {
        "GET" if number == 0 => frames((0..count).map(|number| item(number, 30))),
        "GET" => Reply::Hang,
        _ if seen.path == "/v1/settlements" => settled(&seen.body, 204),
        _ => no_content(),
    })
    .await
}

fn settlements(log: &Log) -> Vec<Settlements> {
    let bulk = log.seen.iter().filter(|seen| seen.path == "/v1/settlements");
    bulk.map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect()
}

#[tokio::test]
async fn several_messages_are_pulled_at_once_and_settled_together() {
    let broker = with_messages(3).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--max", "5", "--lines", "--wait", "1"]).await;
    assert!(pulled.status.success(), "{}", stderr(&pulled));
    assert_eq!(pulled.stdout, b"message 0\nmessage 1\nmessage 2\n");
    let log = broker.log();
    assert_eq!(log.seen[0].line(), "GET /v1/batches/demo/orders?max=5&wait=1");
    assert_eq!(settlements(&log)[0].ack, ["lease-0", "lease-1", "lease-2"]);
    assert_eq!(log.seen.len(), 2);
}

#[tokio::test]
async fn several_commands_run_concurrently_and_finish_after_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let broker = with_messages(2).await;
    let script = format!("echo begun; while [ ! -e {} ]; do sleep 0.02; done", text(&gate));
    let arguments = ["pull", "demo/orders", "--follow", "--workers", "2", "--exec", "sh", "-c", &script];
    let mut child = command(&broker.url, &arguments).stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The second command begins while the first one runs.
    for _ in 0..2 {
        assert_eq!(soon(lines.next_line()).await.unwrap().as_deref(), Some("begun"));
    }
    signal(&child, "TERM").await;
    std::fs::write(&gate, "").unwrap();
    assert_eq!(soon(child.wait()).await.unwrap().code(), Some(0));
    let log = broker.log();
    let alone = log.seen.iter().filter(|seen| seen.method == "DELETE").count();
    let together: usize = settlements(&log).iter().map(|sent| sent.ack.len()).sum();
    assert_eq!(alone + together, 2);
}

#[tokio::test]
async fn a_command_can_reject_its_message_by_its_exit_code() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => crate::support::reply::delivery("work", 30),
        _ => no_content(),
    })
    .await;
    let arguments = ["pull", "demo/orders", "--reject-on", "65", "--exec", "sh", "-c", "exit 65"];
    let pulled = run(&broker.url, &arguments).await;
    assert_eq!(pulled.status.code(), Some(6), "{}", stderr(&pulled));
    assert!(broker.log().seen[1].path.contains("/reject?reason="), "{}", broker.log().seen[1].path);
}
