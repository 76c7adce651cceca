//! Access from browsers to a broker without access control: it is refused.

use reqwest::{Method, RequestBuilder, StatusCode};
use restante_wire::ProblemType;

use crate::{
    broker::{Broker, ORDERS, assert_problem},
    operator::with_orders,
};

#[tokio::test]
async fn a_request_from_an_origin_that_is_not_listed_is_403_and_leases_nothing() {
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
async fn a_host_name_that_is_not_listed_is_403_and_an_ip_address_is_accepted() {
    let broker = Broker::with_flags(ORDERS, &["--allowed-hosts", "mq.example.com"]);
    let ask = |host: &'static str| broker.pull("acme/orders", "wait=0").header("host", host).send();
    assert_problem(ask("evil.example.com").await.unwrap(), 403, ProblemType::HostForbidden).await;
    for host in ["MQ.example.com:8080", "localhost", "[::1]:80", "192.0.2.7"] {
        assert_eq!(ask(host).await.unwrap().status(), StatusCode::NO_CONTENT, "{host}");
    }
}

/// A pull with the headers of a browser.
fn fetched(broker: &Broker, headers: &[(&'static str, &'static str)]) -> RequestBuilder {
    let pull = broker.pull_with_ack_auto("acme/orders", "wait=0");
    headers.iter().fold(pull, |pull, (name, value)| pull.header(*name, *value))
}

#[tokio::test]
async fn a_request_for_an_image_on_a_web_page_is_403_and_leases_nothing() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let image =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    let response = fetched(&broker, &image).send().await.unwrap();
    assert_problem(response, 403, ProblemType::BrowserForbidden).await;
    assert_eq!(broker.metric("restante_messages_delivered_total").await, 0.0);
}

#[tokio::test]
async fn a_browsers_navigation_to_a_message_and_its_prefetch_are_403() {
    let broker = Broker::serving(ORDERS);
    for headers in [
        [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
        [("sec-fetch-site", "same-origin"), ("sec-purpose", "prefetch")],
    ] {
        let response = fetched(&broker, &headers).send().await.unwrap();
        assert_problem(response, 403, ProblemType::BrowserForbidden).await;
    }
}

#[tokio::test]
async fn the_openapi_document_can_be_opened_in_a_browser() {
    let broker = Broker::serving(ORDERS);
    let open = broker.request(Method::GET, "/openapi.json").header("sec-fetch-mode", "navigate");
    let response = open.header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_fetch_function_of_node_is_served() {
    let broker = Broker::serving(ORDERS);
    // Node sends only these of a browser's headers.
    let headers = [("sec-fetch-mode", "cors"), ("accept-language", "*"), ("user-agent", "node")];
    assert_eq!(fetched(&broker, &headers).send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

fn scrape(broker: &Broker, path: &str, headers: &[(&'static str, &'static str)]) -> RequestBuilder {
    let get = broker.client.get(format!("http://{}{path}", broker.address("--admin-listen")));
    headers.iter().fold(get, |get, (name, value)| get.header(*name, *value))
}

#[tokio::test]
async fn metrics_are_403_for_web_pages_and_unlisted_hosts_even_if_the_data_port_lists_the_origin() {
    let broker = Broker::with_flags(ORDERS, &["--allowed-origins", "*", "--allowed-hosts", "mq.example.com"]);
    for path in ["/metrics", "/metrics/channels"] {
        for (headers, kind) in [
            (&[("host", "evil.example.com")][..], ProblemType::HostForbidden),
            (&[("origin", "https://app.example.com")], ProblemType::OriginForbidden),
            (
                &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
                ProblemType::BrowserForbidden,
            ),
        ] {
            let response = scrape(&broker, path, headers).send().await.unwrap();
            assert_problem(response, 403, kind).await;
        }
        let by_name = scrape(&broker, path, &[("host", "mq.example.com:8081")]).send().await.unwrap();
        assert_eq!(by_name.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn the_control_port_answers_401_without_cors_headers_to_a_web_page_without_the_token() {
    let broker = with_orders(|_| ()).await;
    let url = format!("http://{}/control/v1/revision", broker.address("--control-listen"));
    for method in [Method::OPTIONS, Method::GET] {
        let request = broker.client.request(method, &url).header("origin", "https://evil.example.com");
        let response = request.header("access-control-request-method", "GET").send().await.unwrap();
        assert!(response.headers().get("access-control-allow-origin").is_none());
        assert_problem(response, 401, ProblemType::Unauthorized).await;
    }
}

#[tokio::test]
async fn probes_of_the_admin_port_accept_any_host() {
    let broker = Broker::serving(ORDERS);
    for path in ["/livez", "/readyz"] {
        let response = scrape(&broker, path, &[("host", "balancer.example.com")]).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}
