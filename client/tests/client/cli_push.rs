//! `restante push`.

use restante_client::ProblemType;

use crate::support::{
    broker::Broker,
    command::{run, run_with, stderr, text},
    reply::{ID, Reply, problem, stored},
};

#[tokio::test]
async fn standard_input_is_sent_unchanged_as_one_message() {
    let broker = Broker::start(|_, _| stored()).await;
    let content = b"line\nline\r\n\0\xff";
    let arguments = ["push", "demo/orders", "-t", "text/plain", "-H", "Meta-Colour: red"];
    let pushed = run_with(&broker.url, &arguments, content).await;
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    assert_eq!(pushed.stdout, format!("{ID}\n").as_bytes());
    let log = broker.log();
    assert_eq!(log.seen[0].body, content.as_slice());
    assert_eq!(log.seen[0].header("content-type"), "text/plain");
    assert_eq!(log.seen[0].header("meta-colour"), "red");
}

#[tokio::test]
async fn a_file_is_one_message() {
    let broker = Broker::start(|_, _| stored()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("message");
    std::fs::write(&file, "from a file").unwrap();
    let pushed = run(&broker.url, &["push", "demo/orders", text(&file)]).await;
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    assert_eq!(broker.log().seen[0].body, "from a file");
    assert_eq!(broker.log().seen[0].header("content-type"), "");
}

#[tokio::test]
async fn each_line_is_sent_in_order_with_its_own_idempotency_key() {
    let broker = Broker::start(|_, _| stored()).await;
    let arguments = ["push", "demo/orders", "--lines", "--idempotency-key", "job"];
    let pushed = run_with(&broker.url, &arguments, b"one\n\nthree").await;
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    assert_eq!(pushed.stdout, format!("{ID}\n").repeat(3).as_bytes());
    let log = broker.log();
    let seen: Vec<_> = log.seen.iter().map(|seen| (&seen.body[..], seen.header("idempotency-key"))).collect();
    assert_eq!(seen, [(&b"one"[..], "\"job-1\""), (b"", "\"job-2\""), (b"three", "\"job-3\"")]);
}

#[tokio::test]
async fn a_refused_line_is_reported_with_the_number_of_sent_messages() {
    let broker = Broker::start(|_, number| match number {
        0 => stored(),
        _ => problem(413, ProblemType::MessageTooLarge),
    })
    .await;
    let pushed = run_with(&broker.url, &["push", "demo/orders", "--lines"], b"one\ntwo\nthree\n").await;
    assert_eq!(pushed.status.code(), Some(4));
    let printed = stderr(&pushed);
    assert!(printed.contains("line 2") && printed.contains("messages sent before it: 1"), "{printed}");
    assert_eq!(broker.log().seen.len(), 2);
}

#[tokio::test]
async fn a_temporary_error_is_reported_and_retried() {
    let broker = Broker::start(|_, number| match number {
        0 => problem(503, ProblemType::Busy),
        _ => stored(),
    })
    .await;
    let pushed = run(&broker.url, &["push", "demo/orders"]).await;
    assert!(pushed.status.success());
    let printed = stderr(&pushed);
    assert!(printed.contains("The broker is busy (503)") && printed.contains("retrying in 0."), "{printed}");
}

#[tokio::test]
async fn a_refusal_is_exit_code_4_with_the_brokers_detail() {
    let broker = Broker::start(|_, _| problem(404, ProblemType::AddressUnknown)).await;
    let pushed = run(&broker.url, &["push", "demo/orders"]).await;
    assert_eq!(pushed.status.code(), Some(4));
    let printed = stderr(&pushed);
    assert!(printed.contains("demo/orders") && printed.contains("the detail says what to do"), "{printed}");
    assert!(pushed.stdout.is_empty());
}

#[tokio::test]
async fn a_passed_deadline_is_exit_code_5_with_the_idempotency_key() {
    let broker = Broker::start(|_, _| Reply::Hang).await;
    let arguments = ["push", "demo/orders", "--deadline", "0.2", "--idempotency-key", "job-7"];
    let pushed = run(&broker.url, &arguments).await;
    assert_eq!(pushed.status.code(), Some(5));
    assert!(stderr(&pushed).contains("job-7"), "{}", stderr(&pushed));
}

#[tokio::test]
async fn invalid_arguments_are_exit_code_2_and_send_nothing() {
    let broker = Broker::start(|_, _| stored()).await;
    for arguments in [
        &["push", "Demo/orders"][..],
        &["push", "demo/orders", "-H", "X-Colour: red"],
        &["push", "demo/orders", "--idempotency-key", "a b"],
        &["push", "demo/orders", "--deadline", "never"],
        &["push", "demo/orders", "--url", "ftp://broker"],
        &["push", "demo/orders", "--ca-cert", "/no/such/ca.pem"],
    ] {
        let pushed = run(&broker.url, arguments).await;
        assert_eq!(pushed.status.code(), Some(2), "{arguments:?}: {}", stderr(&pushed));
    }
    let missing = run(&broker.url, &["push", "demo/orders", "/no/such/file"]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("/no/such/file"));
    assert_eq!(broker.log().seen.len(), 0);
}
