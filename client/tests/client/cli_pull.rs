//! `restante pull`.

use std::process::Stdio;

use restante_client::ProblemType;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{
    broker::{Broker, Seen},
    command::{command, run, signal, stderr, text},
    reply::{ID, LEASE, Reply, delivery, no_content, problem, renewed},
    soon,
};

/// A broker that delivers one message, and then holds pulls until the client hangs up.
async fn one_message(body: &'static [u8], lease_seconds: u32) -> Broker {
    Broker::start(move |seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => delivery(body, lease_seconds),
        ("GET", _) => Reply::Hang,
        _ if seen.path.contains("/renew") => renewed(lease_seconds),
        _ => no_content(),
    })
    .await
}

fn settled(broker: &Broker) -> usize {
    broker.log().count(&format!("DELETE /v1/leases/{LEASE}"))
}

fn released(broker: &Broker) -> usize {
    broker.log().count(&format!("POST /v1/leases/{LEASE}/release"))
}

#[tokio::test]
async fn a_message_is_written_unchanged_and_then_settled() {
    let broker = one_message(b"\0\xffno newline", 30).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--wait", "7", "--lease", "9"]).await;
    assert!(pulled.status.success(), "{}", stderr(&pulled));
    assert_eq!(pulled.stdout, b"\0\xffno newline");
    assert_eq!(stderr(&pulled), "");
    assert_eq!(broker.log().seen[0].line(), "GET /v1/messages/demo/orders?wait=7&lease=9");
    assert_eq!((settled(&broker), released(&broker)), (1, 0));
}

#[tokio::test]
async fn no_message_within_the_wait_is_exit_code_3() {
    let broker = Broker::start(|_, _| no_content()).await;
    let pulled = run(&broker.url, &["pull", "demo/orders"]).await;
    assert_eq!(pulled.status.code(), Some(3));
    assert!(pulled.stdout.is_empty());
    assert_eq!(stderr(&pulled), "");
    let pulled = run(&broker.url, &["pull", "demo/orders", "--verbose"]).await;
    assert_eq!(pulled.status.code(), Some(3));
    assert_eq!(stderr(&pulled), "restante: time-out response: no message within the wait\n");
    assert_eq!(broker.log().seen.len(), 2);
}

#[tokio::test]
async fn follow_can_start_before_its_channel_exists() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => problem(404, ProblemType::AddressUnknown),
        ("GET", 1) => delivery("first", 30),
        ("GET", _) => Reply::Hang,
        _ => no_content(),
    })
    .await;
    let child = command(&broker.url, &["pull", "demo/orders", "-f", "--retry-all-errors"]).spawn().unwrap();
    broker.until(|log| log.seen.len() == 4).await;
    signal(&child, "TERM").await;
    let pulled = soon(child.wait_with_output()).await.unwrap();
    assert_eq!((pulled.status.code(), pulled.stdout.as_slice()), (Some(0), &b"first"[..]));
    assert!(stderr(&pulled).contains("retrying in"), "{}", stderr(&pulled));
}

#[tokio::test]
async fn a_refusal_is_exit_code_4_and_an_unreachable_broker_is_5() {
    let broker = Broker::start(|_, _| problem(404, ProblemType::AddressUnknown)).await;
    let pulled = run(&broker.url, &["pull", "demo/orders"]).await;
    assert_eq!(pulled.status.code(), Some(4), "{}", stderr(&pulled));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pulled =
        run(&format!("http://127.0.0.1:{port}"), &["pull", "demo/orders", "--deadline", "0.3"]).await;
    assert_eq!(pulled.status.code(), Some(5), "{}", stderr(&pulled));
}

#[tokio::test]
async fn a_message_that_could_not_be_written_is_released_and_not_settled() {
    let broker = one_message(b"lost?", 30).await;
    let full = run(&broker.url, &["pull", "demo/orders", "-O", "/dev/full"]).await;
    assert_eq!(full.status.code(), Some(1));
    assert!(stderr(&full).contains("/dev/full"), "{}", stderr(&full));
    assert_eq!((settled(&broker), released(&broker)), (0, 1));

    let broker = one_message(b"lost?", 30).await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut pull = command(&broker.url, &["pull", "demo/orders"]);
    let status = soon(pull.stdout(full).status()).await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!((settled(&broker), released(&broker)), (0, 1));
}

#[tokio::test]
async fn a_file_is_written_only_if_there_is_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("message");
    std::fs::write(&file, "older and longer").unwrap();
    let broker = Broker::start(|_, _| no_content()).await;
    run(&broker.url, &["pull", "demo/orders", "-O", text(&file)]).await;
    assert_eq!(std::fs::read(&file).unwrap(), b"older and longer");
    let broker = one_message(b"new", 30).await;
    run(&broker.url, &["pull", "demo/orders", "-O", text(&file)]).await;
    assert_eq!(std::fs::read(&file).unwrap(), b"new");
    assert_eq!(settled(&broker), 1);
}

#[tokio::test]
async fn with_no_settle_the_lease_is_printed_apart_from_the_body() {
    let broker = one_message(b"content", 30).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--no-settle"]).await;
    assert_eq!(pulled.stdout, b"content");
    assert!(stderr(&pulled).contains(LEASE));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("message");
    let broker = one_message(b"content", 30).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--no-settle", "-O", text(&file)]).await;
    assert_eq!(pulled.stdout, format!("{LEASE}\n").as_bytes());
    assert_eq!((settled(&broker), released(&broker)), (0, 0));
}

#[tokio::test]
async fn follow_pulls_again_after_timeout_responses_and_ends_cleanly_on_a_signal() {
    for name in ["TERM", "INT"] {
        let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
            ("GET", 0 | 1) => no_content(),
            ("GET", 2 | 4) => delivery("line", 30),
            ("GET", _) => Reply::Hang,
            _ => no_content(),
        })
        .await;
        let arguments = ["pull", "demo/orders", "--follow", "--lines", "--verbose"];
        let child = command(&broker.url, &arguments).spawn().unwrap();
        broker.until(|log| log.seen.len() == 7).await;
        signal(&child, name).await;
        let pulled = soon(child.wait_with_output()).await.unwrap();
        assert_eq!(pulled.status.code(), Some(0), "{name}: {}", stderr(&pulled));
        assert_eq!(pulled.stdout, b"line\nline\n");
        assert_eq!(settled(&broker), 2);
        assert_eq!(stderr(&pulled).matches("request transmitted again").count(), 2, "{}", stderr(&pulled));
        broker.until(|log| log.hung_up == 1).await;
    }
}

#[tokio::test]
async fn follow_stops_without_settling_when_its_output_is_closed() {
    let broker = one_message(&[b'x'; 1 << 20], 30).await;
    let mut child = command(&broker.url, &["pull", "demo/orders", "--follow"]).spawn().unwrap();
    drop(child.stdout.take());
    let pulled = soon(child.wait_with_output()).await.unwrap();
    assert_eq!(pulled.status.code(), Some(1), "{}", stderr(&pulled));
    assert_eq!((settled(&broker), released(&broker)), (0, 1));
}

#[tokio::test]
async fn a_command_gets_the_body_and_decides_by_its_exit_code() {
    let script = r#"cat; echo "|$RESTANTE_MESSAGE_ID|$RESTANTE_DELIVERIES|$RESTANTE_CONTENT_TYPE""#;
    let broker = one_message(b"work", 30).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--exec", "sh", "-c", script]).await;
    assert!(pulled.status.success(), "{}", stderr(&pulled));
    let expected = format!("work|{ID}|2|text/plain; charset=utf-8\n");
    assert_eq!(String::from_utf8_lossy(&pulled.stdout), expected);
    assert_eq!((settled(&broker), released(&broker)), (1, 0));

    let broker = one_message(b"work", 30).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--exec", "sh", "-c", "exit 7"]).await;
    assert_eq!(pulled.status.code(), Some(6), "{}", stderr(&pulled));
    assert_eq!((settled(&broker), released(&broker)), (0, 1));

    let broker = one_message(b"work", 30).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--exec", "/no/such/command"]).await;
    assert_eq!(pulled.status.code(), Some(1), "{}", stderr(&pulled));
    assert_eq!((settled(&broker), released(&broker)), (0, 1));
}

#[tokio::test]
async fn a_command_need_not_read_its_input() {
    let broker = one_message(&[b'x'; 1 << 20], 30).await;
    let pulled = run(&broker.url, &["pull", "demo/orders", "--exec", "true"]).await;
    assert!(pulled.status.success(), "{}", stderr(&pulled));
    assert_eq!(settled(&broker), 1);
}

#[tokio::test]
async fn a_lease_is_renewed_while_the_command_runs_and_the_command_finishes_after_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let broker = one_message(b"work", 1).await;
    let script = format!("echo begun; while [ ! -e {} ]; do sleep 0.02; done", text(&gate));
    let arguments = ["pull", "demo/orders", "--follow", "--exec", "sh", "-c", &script];
    let mut child = command(&broker.url, &arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(soon(lines.next_line()).await.unwrap().as_deref(), Some("begun"));
    signal(&child, "TERM").await;
    let renewal = format!("POST /v1/leases/{LEASE}/renew?lease=1");
    broker.until(|log| log.count(&renewal) >= 4).await;
    std::fs::write(&gate, "").unwrap();
    let pulled = soon(child.wait_with_output()).await.unwrap();
    assert_eq!(pulled.status.code(), Some(0), "{}", stderr(&pulled));
    assert_eq!((settled(&broker), released(&broker)), (1, 0));
    assert_eq!(broker.log().count("GET /v1/messages/demo/orders"), 1);
}

#[tokio::test]
async fn a_second_signal_kills_the_command_and_releases_the_message() {
    let broker = one_message(b"work", 30).await;
    let arguments = ["pull", "demo/orders", "--follow", "--exec", "sh", "-c", "echo begun; exec sleep 600"];
    let mut child = command(&broker.url, &arguments).stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(soon(lines.next_line()).await.unwrap().as_deref(), Some("begun"));
    // Two signals of the same kind may be merged into one, so the second is of another kind.
    signal(&child, "TERM").await;
    signal(&child, "INT").await;
    let status = soon(child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(130));
    let uncounted = format!("POST /v1/leases/{LEASE}/release?uncounted=true");
    assert_eq!((settled(&broker), broker.log().count(&uncounted)), (0, 1));
    // The command's end of the pipe is closed, so the command has ended.
    assert_eq!(soon(lines.next_line()).await.unwrap(), None);
}
