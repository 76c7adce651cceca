//! `restante request` and `reply`.

use crate::support::{
    broker::{Broker, Seen},
    command::{command, run, run_with, stderr},
    reply::{ID, LEASE, Reply, delivery, no_content, stored},
    soon,
};

/// A message with these headers.
fn with(body: &'static str, headers: &[(&'static str, &str)]) -> Reply {
    let Reply::Answer(mut response) = delivery(body, 30) else { unreachable!() };
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    Reply::Answer(response)
}

#[tokio::test]
async fn a_request_prints_its_reply_and_settles_it() {
    let request_correlation = std::sync::Mutex::new(String::new());
    let broker = Broker::start(move |seen: &Seen, _| match seen.method.as_str() {
        "POST" => {
            *request_correlation.lock().unwrap() = seen.header("correlation-id").to_owned();
            stored()
        }
        "GET" => with("seven", &[("correlation-id", &request_correlation.lock().unwrap())]),
        _ => no_content(),
    })
    .await;
    let arguments = ["request", "demo/work", "--reply-to", "demo/replies", "-t", "text/plain"];
    let ended = run_with(&broker.url, &arguments, b"how many?").await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(ended.stdout, b"seven");
    let log = broker.log();
    assert_eq!(
        (log.seen[0].body.as_ref(), log.seen[0].header("content-type")),
        (&b"how many?"[..], "text/plain")
    );
    assert_eq!(log.count(&format!("DELETE /v1/leases/{LEASE}")), 1);
}

#[tokio::test]
async fn a_request_without_a_reply_in_time_is_exit_code_3_and_a_url_is_not_a_reply_address() {
    let broker = Broker::start(|seen: &Seen, _| match seen.method.as_str() {
        "POST" => stored(),
        _ => Reply::Hang,
    })
    .await;
    let arguments = ["request", "demo/work", "--reply-to", "demo/replies", "--timeout", "0.3"];
    let ended = run(&broker.url, &arguments).await;
    assert_eq!(ended.status.code(), Some(3), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("no reply arrived within 0.3 s"), "{}", stderr(&ended));
    let ended = run(&broker.url, &["request", "demo/work", "--reply-to", "http://10.0.0.1/"]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
}

#[tokio::test]
async fn a_command_replies_to_its_message_before_the_message_is_settled() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => with("how many?", &[("reply-to", "demo/replies"), ("correlation-id", "c-1")]),
        ("POST", _) => stored(),
        _ => no_content(),
    })
    .await;
    let script = format!("tr a-z A-Z | {} reply > /dev/null", env!("CARGO_BIN_EXE_restante"));
    let ended = run(&broker.url, &["pull", "demo/work", "--exec", "sh", "-c", &script]).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    let log = broker.log();
    let lines: Vec<_> = log.seen[1..].iter().map(Seen::line).collect();
    assert_eq!(lines, ["POST /v1/messages/demo/replies".into(), format!("DELETE /v1/leases/{LEASE}")]);
    let reply = &log.seen[1];
    assert_eq!((reply.body.as_ref(), reply.header("correlation-id")), (&b"HOW MANY?"[..], "c-1"));
    assert_eq!(reply.header("idempotency-key"), format!("\"reply-{ID}\""));
}

#[tokio::test]
async fn a_message_without_a_reply_address_gets_no_reply() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => with("hello", &[("reply-to", "http://10.0.0.1/")]),
        _ => no_content(),
    })
    .await;
    let script = format!("{} reply", env!("CARGO_BIN_EXE_restante"));
    // The variables of an outer message are removed.
    let mut pull = command(&broker.url, &["pull", "demo/work", "--exec", "sh", "-c", &script]);
    let ended = soon(pull.env("RESTANTE_REPLY_TO", "demo/other").output()).await.unwrap();
    assert_eq!(ended.status.code(), Some(6), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("--to"), "{}", stderr(&ended));
    assert!(broker.log().seen.iter().all(|seen| !seen.path.starts_with("/v1/messages/demo/other")));
}
