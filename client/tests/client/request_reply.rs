//! Request and reply over two channels.

use std::time::Duration;

use restante_client::{
    Message, ProblemType, Received, Receiver, ReceiverOptions, ReplyError, RequestReplyError,
};

use crate::support::{
    PATIENCE, address,
    broker::{Broker, Seen},
    client,
    reply::{ID, LEASE, Reply, delivery, no_content, problem, stored},
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

fn replies() -> restante_client::Address {
    "demo/replies".parse().unwrap()
}

#[tokio::test]
async fn a_request_waits_for_its_own_reply_and_releases_others_uncounted() {
    let (request_correlation, correlation) = tokio::sync::watch::channel(String::new());
    let broker = Broker::start(move |seen: &Seen, number| match (seen.method.as_str(), number) {
        ("POST", 0) => {
            request_correlation.send_replace(seen.header("correlation-id").to_owned());
            stored()
        }
        ("GET", 1) => with("another's", &[("correlation-id", "another")]),
        ("GET", 3) => delivery("nobody's", 30),
        ("GET", _) => with("mine", &[("correlation-id", &request_correlation.borrow())]),
        _ => no_content(),
    })
    .await;
    let reply =
        client(&broker.url).request(&address(), Message::new("how many?"), &replies(), PATIENCE).await;
    let reply = reply.unwrap();
    assert_eq!(reply.body, "mine");
    assert_eq!(reply.correlation_id(), Some(correlation.borrow().as_str()));
    let log = broker.log();
    assert_eq!(log.seen[0].line(), "POST /v1/messages/demo/orders");
    assert_eq!(log.seen[0].header("reply-to"), "demo/replies");
    let version = uuid::Uuid::parse_str(log.seen[0].header("correlation-id")).unwrap().get_version_num();
    assert_eq!(version, 7);
    assert_eq!(log.count("GET /v1/messages/demo/replies"), 3);
    // Released with a delay, so that the same reply is not delivered again at once, for ever.
    assert_eq!(log.count(&format!("POST /v1/leases/{LEASE}/release?delay=1&uncounted=true")), 2);
    reply.settle().await.unwrap();
}

#[tokio::test]
async fn a_request_without_a_reply_returns_the_id_of_a_late_reply() {
    let broker = Broker::start(|seen: &Seen, _| match seen.method.as_str() {
        "POST" => stored(),
        _ => Reply::Hang,
    })
    .await;
    let within = Duration::from_millis(200);
    let error =
        client(&broker.url).request(&address(), Message::new("x"), &replies(), within).await.unwrap_err();
    let RequestReplyError::NoReply { correlation_id, .. } = error else { panic!("{error}") };
    let log = broker.until(|log| log.hung_up == 1).await;
    assert_eq!(log.seen[0].header("correlation-id"), correlation_id.to_string());
}

#[tokio::test]
async fn a_refused_request_does_not_wait_for_a_reply() {
    let broker = Broker::start(|_, _| problem(404, ProblemType::AddressUnknown)).await;
    let error =
        client(&broker.url).request(&address(), Message::new("x"), &replies(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, RequestReplyError::Send(_)), "{error}");
    assert_eq!(broker.log().seen.len(), 1);
}

/// A broker that delivers one request. The script answers pushes.
async fn one_request(
    headers: &'static [(&'static str, &'static str)],
    pushed: fn() -> Reply,
) -> (Broker, Received) {
    let broker = Broker::start(move |seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => with("how many?", headers),
        ("POST", _) if seen.path.starts_with("/v1/messages/") => pushed(),
        _ => no_content(),
    })
    .await;
    let receiver = Receiver::new(&client(&broker.url), address(), ReceiverOptions::default());
    let message = soon(receiver.receive()).await.unwrap();
    (broker, message)
}

const REQUEST: &[(&str, &str)] = &[("reply-to", "demo/replies"), ("correlation-id", "c-1")];

#[tokio::test]
async fn the_request_is_settled_after_its_reply_is_stored() {
    let (broker, message) = one_request(REQUEST, stored).await;
    message.reply_and_settle(Message::new("seven"), PATIENCE).await.unwrap();
    let lines: Vec<_> = broker.log().seen.iter().map(Seen::line).collect();
    let settle = format!("DELETE /v1/leases/{LEASE}");
    assert_eq!(lines[1..], ["POST /v1/messages/demo/replies".to_owned(), settle]);
    let reply = &broker.log().seen[1];
    assert_eq!((reply.header("correlation-id"), reply.header("reply-to")), ("c-1", ""));
    // Every reply to this request has the same key.
    assert_eq!(reply.header("idempotency-key"), format!("\"reply-{ID}\""));
}

#[tokio::test]
async fn a_refused_reply_leaves_the_request_unsettled() {
    let (broker, message) = one_request(REQUEST, || problem(404, ProblemType::AddressUnknown)).await;
    let error = message.reply_and_settle(Message::new("seven"), PATIENCE).await.unwrap_err();
    assert!(matches!(error, ReplyError::Send(_)), "{error}");
    broker.until(|log| log.count(&format!("POST /v1/leases/{LEASE}/release")) == 1).await;
    assert_eq!(broker.log().count(&format!("DELETE /v1/leases/{LEASE}")), 0);
}

#[tokio::test]
async fn the_first_reply_remains_and_the_request_is_settled() {
    let (broker, message) = one_request(REQUEST, || problem(422, ProblemType::IdempotencyMismatch)).await;
    message.reply_and_settle(Message::new("eight"), PATIENCE).await.unwrap();
    assert_eq!(broker.log().count(&format!("DELETE /v1/leases/{LEASE}")), 1);
}

#[tokio::test]
async fn no_reply_is_sent_without_a_reply_address_or_to_a_url() {
    let (broker, message) = one_request(&[], stored).await;
    let error = message.reply(Message::new("seven"), PATIENCE).await.unwrap_err();
    assert!(matches!(error, ReplyError::NoReplyTo(_)), "{error}");
    assert_eq!(broker.log().seen.len(), 1);
    let (broker, message) = one_request(&[("reply-to", "http://10.0.0.1/admin")], stored).await;
    assert_eq!(message.reply_to(), None);
    let error = message.reply(Message::new("seven"), PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("http://10.0.0.1/admin"), "{error}");
    assert_eq!(broker.log().seen.len(), 1);
}

#[tokio::test]
async fn the_reply_to_a_request_without_a_correlation_id_has_its_message_id() {
    let (broker, message) = one_request(&[("reply-to", "demo/replies")], stored).await;
    message.reply(Message::new("seven"), PATIENCE).await.unwrap();
    assert_eq!(broker.log().seen[1].header("correlation-id"), ID);
}
