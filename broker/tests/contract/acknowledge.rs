//! Pull, with operations on other leases: `ack=auto`, `Acknowledge`, `Receive-Attempt-Id`.

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::{
    broker::{Broker, assert_problem, header},
    operator::with_orders,
    policies::{at_once, pushed_with, stats},
};

#[tokio::test]
async fn ack_auto_settles_before_the_answer_is_sent_and_the_answer_has_no_lease() {
    let mut broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "once").await;
    let response = broker.pull_with_ack_auto("acme/orders", "wait=5").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
    for absent in ["location", "lease-duration", "lease-expires-at"] {
        assert!(response.headers().get(absent).is_none(), "{absent}");
    }
    assert_eq!(response.text().await.unwrap(), "once");
    broker.kill();
    broker.start();
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}

#[tokio::test]
async fn ack_auto_by_a_bare_get_is_400_and_leases_nothing_and_the_detail_names_the_required_header() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "x").await;
    for path in ["/v1/messages/acme/orders?wait=0&ack=auto", "/v1/batches/acme/orders?wait=0&ack=auto"] {
        let response = broker.request(Method::GET, path).send().await.unwrap();
        let problem = assert_problem(response, 400, ProblemType::HeaderMalformed).await;
        assert!(problem.detail.contains("\"Restante-Settle: yes\""), "{}", problem.detail);
    }
    assert_eq!(stats(&broker, "orders").await.ready, 1);
}

#[tokio::test]
async fn ack_auto_by_post_or_with_a_credential_needs_no_header() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    let by_post = broker.request(Method::POST, "/v1/receive/acme/orders?wait=0&ack=auto");
    assert_eq!(by_post.send().await.unwrap().text().await.unwrap(), "1");
    let with_credential = broker.pull("acme/orders", "wait=0&ack=auto").bearer_auth("token");
    assert_eq!(with_credential.send().await.unwrap().text().await.unwrap(), "2");
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}

#[tokio::test]
async fn a_restante_settle_header_other_than_yes_is_400() {
    let broker = with_orders(|_| ()).await;
    for query in ["wait=0&ack=auto", "wait=0"] {
        let pull = broker.pull("acme/orders", query).header("restante-settle", "true");
        assert_problem(pull.send().await.unwrap(), 400, ProblemType::HeaderMalformed).await;
    }
}

#[tokio::test]
async fn a_settling_batch_pull_that_lingers_longer_than_its_leases_delivers_no_message_twice() {
    let broker = with_orders(|orders| orders.delivery.lease_seconds = 1).await;
    broker.pushed("acme/orders", "once").await;
    let path = "/v1/batches/acme/orders?wait=5&ack=auto&linger_ms=2500";
    let lingering = broker.request(Method::GET, path).header("restante-settle", "yes");
    let lingering = tokio::spawn(lingering.send());
    let other = broker.pull("acme/orders", "wait=20&lease=60");
    // This pull is sent after the batch pull has leased the message, and gets it when that lease expires.
    broker.wait_for_metric("restante_messages_delivered_total", 1.0).await;
    assert_eq!(other.send().await.unwrap().text().await.unwrap(), "once");
    assert_eq!(lingering.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn ack_auto_and_an_attempt_id_exclude_each_other() {
    let broker = with_orders(|_| ()).await;
    let pull = broker.pull_with_ack_auto("acme/orders", "wait=0").header("receive-attempt-id", "a");
    assert_problem(pull.send().await.unwrap(), 400, ProblemType::ParameterMalformed).await;
}

#[tokio::test]
async fn ack_auto_and_a_lease_exclude_each_other() {
    let broker = with_orders(|_| ()).await;
    let pull = broker.pull("acme/orders", "wait=0&ack=auto&lease=5");
    assert_problem(pull.send().await.unwrap(), 400, ProblemType::ParameterMalformed).await;
}

#[tokio::test]
async fn a_lease_may_be_the_absolute_url_of_its_location() {
    let broker = with_orders(|_| ()).await;
    for content in ["1", "2", "3", "4"] {
        broker.pushed("acme/orders", content).await;
    }
    let mut urls = Vec::new();
    for _ in 0..4 {
        let (_, lease) = broker.pulled("acme/orders").await;
        urls.push(format!("https://broker.example.com/prefix{lease}"));
    }
    let pull = broker.pull("acme/orders", "wait=0").header("acknowledge", &urls[0]).send().await.unwrap();
    assert_eq!(pull.status(), StatusCode::NO_CONTENT);
    assert_eq!(pull.headers().get("acknowledge-failed"), None);
    let settlements = serde_json::json!({
        "ack": [urls[1]],
        "release": [{"lease": urls[2], "delay": 3600}],
        "renew": [{"lease": urls[3], "seconds": 60}],
    });
    let response = broker.request(Method::POST, "/v1/settlements").json(&settlements).send().await.unwrap();
    let results: restante_wire::batch::SettlementResults = response.json().await.unwrap();
    let all = results.ack.iter().chain(&results.release).chain(&results.renew);
    assert_eq!(all.map(|result| result.status).collect::<Vec<_>>(), [204, 204, 200]);
    let found = stats(&broker, "orders").await;
    assert_eq!((found.leased, found.delayed, found.messages()), (1, 1, 2));
}

#[tokio::test]
async fn a_repeat_of_an_attempt_with_other_parameters_is_409_and_leases_nothing() {
    let broker = with_orders(|_| ()).await;
    for content in ["1", "2", "3"] {
        broker.pushed("acme/orders", content).await;
    }
    let ask = |path: &str| broker.request(Method::GET, path).header("receive-attempt-id", "a").send();
    let first = ask("/v1/batches/acme/orders?max=2&lease=60&wait=0").await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    for other in [
        "/v1/messages/acme/orders?lease=60&wait=0",
        "/v1/batches/acme/orders?max=1&lease=60&wait=0",
        "/v1/batches/acme/orders?max=3&lease=60&wait=0",
        "/v1/batches/acme/orders?max=2&lease=61&wait=0",
        "/v1/batches/acme/orders?max=2&wait=0",
    ] {
        let problem = assert_problem(ask(other).await.unwrap(), 409, ProblemType::AttemptMismatch).await;
        assert!(problem.detail.contains("Receive-Attempt-Id"), "{}", problem.detail);
    }
    assert_eq!(ask("/v1/batches/acme/orders?lease=60&max=2&wait=5").await.unwrap().status(), StatusCode::OK);
    assert_eq!(stats(&broker, "orders").await.leased, 2);
}

#[tokio::test]
async fn a_repeat_of_an_attempt_with_other_parameters_does_not_replace_the_waiting_pull() {
    let broker = with_orders(|_| ()).await;
    let waiting = broker.pull("acme/orders", "wait=20&lease=60").header("receive-attempt-id", "a").send();
    let waiting = tokio::spawn(waiting);
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    let other = broker.pull("acme/orders", "wait=20").header("receive-attempt-id", "a").send();
    assert_problem(other.await.unwrap(), 409, ProblemType::AttemptMismatch).await;
    broker.pushed("acme/orders", "x").await;
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "x");
}

#[tokio::test]
async fn acknowledge_settles_earlier_leases_before_the_wait_and_the_answer_names_the_failed_ones() {
    let broker = with_orders(|_| ()).await;
    for content in ["1", "2", "3"] {
        broker.pushed("acme/orders", content).await;
    }
    let (_, first) = broker.pulled("acme/orders").await;
    let (_, second) = broker.pulled("acme/orders").await;
    let (_, released) = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{released}/release?delay=3600")).send().await.unwrap();
    let second_token = second.strip_prefix("/v1/leases/").unwrap();
    let pull = broker
        .pull("acme/orders", "wait=0")
        .header("acknowledge", format!("{first}, {second_token}, {released}, nonsense"));
    let response = pull.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let failed = header(&response, "acknowledge-failed");
    assert_eq!(failed, format!("{released};reason=lease-released, nonsense;reason=lease-unknown"));
    let found = stats(&broker, "orders").await;
    assert_eq!((found.leased, found.delayed, found.messages()), (0, 1, 1));
}

#[tokio::test]
async fn an_acknowledge_header_above_the_limit_of_leases_is_400() {
    let broker = with_orders(|_| ()).await;
    let pull = broker.pull("acme/orders", "wait=0").header("acknowledge", "a,".repeat(65));
    assert_problem(pull.send().await.unwrap(), 400, ProblemType::HeaderMalformed).await;
}

fn attempt(broker: &Broker, id: &str, query: &str) -> reqwest::RequestBuilder {
    broker.pull("acme/orders", query).header("receive-attempt-id", id)
}

#[tokio::test]
async fn a_repeat_of_an_attempt_gets_the_same_message_and_lease_at_once_and_is_not_counted() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    let first = attempt(&broker, "\"a-1\"", "wait=5").send().await.unwrap();
    let again = attempt(&broker, "a-1", "wait=5").send().await.unwrap();
    for name in ["location", "message-id", "message-deliveries", "lease-expires-at"] {
        assert_eq!(header(&again, name), header(&first, name), "{name}");
    }
    let lease = header(&again, "location");
    assert_eq!(again.text().await.unwrap(), "1");
    assert_eq!(broker.metric("restante_messages_delivered_total").await, 1.0);
    // After the settle the attempt holds nothing, so its id is a new attempt.
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    let response = attempt(&broker, "a-1", "wait=5").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "2");
}

#[tokio::test]
async fn a_repeat_of_a_waiting_attempt_takes_its_place_and_the_first_request_gets_409() {
    let broker = with_orders(|_| ()).await;
    let first = tokio::spawn(attempt(&broker, "a", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    let second = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 2.0).await;
    let repeat = tokio::spawn(attempt(&broker, "a", "wait=20").send());
    assert_problem(first.await.unwrap().unwrap(), 409, ProblemType::AttemptRepeated).await;
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    // The repeat has the place of the first request, before the second pull.
    assert_eq!(repeat.await.unwrap().unwrap().text().await.unwrap(), "1");
    assert_eq!(second.await.unwrap().unwrap().text().await.unwrap(), "2");
}

#[tokio::test]
async fn an_attempt_whose_message_was_leased_again_does_not_get_that_message() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "1").await;
    let first = attempt(&broker, "a", "wait=5&lease=1").send().await.unwrap();
    let again = attempt(&broker, "b", "wait=20").send().await.unwrap();
    assert_eq!(header(&again, "message-deliveries"), "2");
    assert_ne!(header(&again, "location"), header(&first, "location"));
    assert_eq!(attempt(&broker, "a", "wait=0").send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_receiver_that_hung_up_gets_the_message_when_it_repeats_its_attempt() {
    let broker = with_orders(|_| ()).await;
    let waiting = tokio::spawn(attempt(&broker, "a", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    waiting.abort();
    pushed_with(&broker, "1", "meta-a", "b").await;
    let response = attempt(&broker, "a", "wait=5").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), "1");
    assert_eq!(at_once(&broker).await, None);
}
