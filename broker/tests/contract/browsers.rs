//! Who may learn what, of an open broker: browsers are kept out.

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::broker::{Broker, ORDERS, assert_problem};

#[tokio::test]
async fn a_request_of_a_page_is_403_unless_its_origin_is_listed_and_takes_nothing() {
    let broker =
        Broker::with_flags(ORDERS, &["--allowed-origins", "https://app.example.com,https://b.example.com"]);
    broker.pushed("acme/orders", "x").await;
    for method in [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS] {
        let request =
            broker.request(method, "/v1/messages/acme/orders").header("origin", "https://evil.example.com");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    let request = broker.pull("acme/orders", "").header("origin", "null");
    assert_problem(request.send().await.unwrap(), 403, ProblemType::OriginForbidden).await;
    assert_eq!(broker.metric("restante_messages_delivered_total").await, 0.0);
    let request = broker.pull("acme/orders", "wait=0").header("origin", "https://b.example.com");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_host_that_is_no_address_is_403_unless_its_name_is_listed() {
    let broker = Broker::with_flags(ORDERS, &["--allowed-hosts", "mq.example.com"]);
    let ask = |host: &'static str| broker.pull("acme/orders", "wait=0").header("host", host).send();
    assert_problem(ask("evil.example.com").await.unwrap(), 403, ProblemType::HostForbidden).await;
    for host in ["MQ.example.com:8080", "localhost", "[::1]:80", "192.0.2.7"] {
        assert_eq!(ask(host).await.unwrap().status(), StatusCode::NO_CONTENT, "{host}");
    }
}
