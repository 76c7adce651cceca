//! Routes of the data port besides the contract: health checks, pages of problem types, and paths behind a prefix.

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::{
    broker::{Broker, ORDERS, header},
    drain::chunks_to_send,
    operator::programmed_by_an_operator,
};

/// The answer of each port to a health check.
async fn probes(broker: &Broker, path: &str) -> [(StatusCode, String); 2] {
    let response = broker.request(Method::GET, path).send().await.unwrap();
    [(response.status(), response.text().await.unwrap()), broker.admin(path).await]
}

#[tokio::test]
async fn the_data_port_answers_probes_like_the_admin_port() {
    let unprogrammed = programmed_by_an_operator();
    let [data, admin] = probes(&unprogrammed, "/readyz").await;
    assert_eq!((data.0, &data), (StatusCode::SERVICE_UNAVAILABLE, &admin));
    let broker = Broker::serving(ORDERS);
    for path in ["/livez", "/readyz"] {
        let [data, admin] = probes(&broker, path).await;
        assert_eq!((data.0, &data), (StatusCode::OK, &admin), "{path}");
        let head = broker.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK, "{path}");
    }
    // An open request keeps the drain from ending: its body is not complete yet.
    let (body, chunks) = chunks_to_send();
    let open = tokio::spawn(broker.push("acme/orders", reqwest::Body::wrap_stream(chunks)).send());
    body.send(Ok("half")).await.unwrap();
    broker.wait_for_metric("restante_body_memory_bytes", 4.0).await;
    broker.signal(rustix::process::Signal::TERM);
    while broker.admin("/readyz").await.0 == StatusCode::OK {
        tokio::task::yield_now().await;
    }
    let [data, admin] = probes(&broker, "/readyz").await;
    assert_eq!((data.0, &data), (StatusCode::SERVICE_UNAVAILABLE, &admin));
    assert_eq!(probes(&broker, "/livez").await[0].0, StatusCode::OK);
    open.abort();
}

#[tokio::test]
async fn a_health_check_may_use_any_host_and_origin() {
    let broker = Broker::serving(ORDERS);
    for path in ["/livez", "/readyz"] {
        let check = broker.request(Method::GET, path).header("host", "balancer.invalid");
        let response = check.header("origin", "https://page.invalid").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    let other = broker.request(Method::GET, "/openapi.json").header("host", "balancer.invalid");
    assert_eq!(other.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_problem_answer_links_to_its_page_and_the_broker_serves_it() {
    let broker = Broker::serving(ORDERS);
    for (method, path, kind) in [
        (Method::GET, "/v1/messages/acme/none", ProblemType::AddressUnknown),
        (Method::GET, "/nothing", ProblemType::RouteUnknown),
        (Method::PUT, "/v1/messages/acme/orders", ProblemType::MethodNotAllowed),
        (Method::DELETE, "/v1/leases/none", ProblemType::LeaseUnknown),
    ] {
        let response = broker.request(method, path).send().await.unwrap();
        let link = header(&response, "link");
        assert_eq!(link, format!("</errors/{}>; rel=\"help\"", kind.name()));
        let page = link.trim_start_matches('<').split('>').next().unwrap();
        let response = broker.request(Method::GET, page).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "content-type"), "text/markdown; charset=utf-8");
        assert!(response.text().await.unwrap().starts_with(&format!("# {}\n", kind.name())));
    }
}

#[tokio::test]
async fn the_page_of_a_problem_type_is_served_to_any_host() {
    let broker = Broker::serving(ORDERS);
    let by_name = |path: &str| broker.request(Method::GET, path).header("host", "mq.invalid");
    let refused = by_name("/v1/messages/acme/orders").send().await.unwrap();
    assert_eq!(header(&refused, "link"), "</errors/host-forbidden>; rel=\"help\"");
    let browser = by_name("/errors/host-forbidden").header("accept", "text/html,*/*;q=0.8");
    let response = browser.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
    let page = response.text().await.unwrap();
    assert!(page.contains("<title>host-forbidden</title>") && page.contains("## What to do"), "{page}");
    let unknown = by_name("/errors/<script>").header("accept", "text/html").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(!unknown.text().await.unwrap().contains("<script>"));
}

#[tokio::test]
async fn location_begins_with_the_path_of_the_external_url_and_the_broker_serves_it() {
    let broker = Broker::with_flags(ORDERS, &["--external-url", "https://example.com/shared/mq/"]);
    let pushed = broker.request(Method::POST, "/shared/mq/v1/messages/acme/orders").body("x").send().await;
    assert_eq!(pushed.unwrap().status(), StatusCode::CREATED);
    broker.pushed("acme/orders", "y").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    assert!(lease.starts_with("/shared/mq/v1/leases/"), "{lease}");
    let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(settled.status(), StatusCode::NO_CONTENT);
    // The path of a lease can be used unchanged in Acknowledge.
    let (_, second) = broker.pulled("acme/orders").await;
    let response = broker.pull("acme/orders", "wait=0").header("acknowledge", &second).send().await.unwrap();
    assert!(response.headers().get("acknowledge-failed").is_none(), "{response:?}");
    let response = broker.request(Method::GET, "/shared/mq/nothing").send().await.unwrap();
    assert_eq!(header(&response, "link"), "</shared/mq/errors/route-unknown>; rel=\"help\"");
}
