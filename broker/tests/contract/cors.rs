//! Scripts of listed origins: preflights, and what they can read of an answer.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use restante_wire::ProblemType;

use crate::broker::{Broker, ORDERS, assert_problem, header};

const APP: &str = "https://app.example.com";

fn listing(origins: &str) -> Broker {
    Broker::with_flags(ORDERS, &["--allowed-origins", origins])
}

/// The headers of a browser when a script of this origin fetches.
fn by_script(request: RequestBuilder, origin: &str) -> RequestBuilder {
    let headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors"), ("origin", origin)];
    headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
}

async fn preflight(broker: &Broker, path: &str, origin: &str) -> Response {
    let request = by_script(broker.request(Method::OPTIONS, path), origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,idempotency-key,meta-colour,x-made-up");
    request.send().await.unwrap()
}

/// The names in a list header.
fn names(response: &Response, name: &str) -> Vec<String> {
    header(response, name).split(", ").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_preflight_of_a_listed_origin_is_204_with_the_methods_of_its_path_and_the_known_headers() {
    let broker = listing(APP);
    let response = preflight(&broker, "/v1/messages/acme/orders", APP).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&response, "access-control-allow-origin"), APP);
    assert_eq!(header(&response, "access-control-allow-methods"), "GET, HEAD, POST");
    let headers = header(&response, "access-control-allow-headers");
    assert_eq!(headers, "content-type, idempotency-key, meta-colour");
    assert_eq!(header(&response, "access-control-max-age"), "7200");
    assert!(response.headers().get("access-control-allow-credentials").is_none());
}

#[tokio::test]
async fn a_preflight_of_an_origin_that_is_not_listed_is_403() {
    let broker = listing(APP);
    let response = preflight(&broker, "/v1/messages/acme/orders", "https://evil.example.com").await;
    assert!(response.headers().get("access-control-allow-origin").is_none());
    assert_problem(response, 403, ProblemType::OriginForbidden).await;
}

#[tokio::test]
async fn a_script_of_a_listed_origin_may_read_a_message_its_lease_and_its_headers() {
    let broker = listing(APP);
    let push = by_script(broker.push("acme/orders", "x"), APP).header("meta-colour", "red");
    let pushed = push.send().await.unwrap();
    assert!(names(&pushed, "access-control-expose-headers").contains(&"message-id".to_owned()));
    let response = by_script(broker.pull("acme/orders", "wait=0"), APP).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "access-control-allow-origin"), APP);
    assert_eq!(header(&response, "vary"), "Origin, Prefer");
    let exposed = names(&response, "access-control-expose-headers");
    for name in
        ["location", "message-id", "message-deliveries", "lease-duration", "lease-expires-at", "meta-colour"]
    {
        assert!(exposed.contains(&name.to_owned()), "{name} is not in {exposed:?}");
    }
    for name in &exposed {
        assert!(response.headers().contains_key(name), "{name} is not in the answer");
    }
    assert!(response.headers().get("access-control-allow-credentials").is_none());
}

#[tokio::test]
async fn a_script_of_a_listed_origin_may_read_an_error() {
    let broker = listing(APP);
    for (path, status, kind) in [
        ("/v1/messages/acme/unknown", 404, ProblemType::AddressUnknown),
        ("/v1/messages/acme/orders?ack=auto", 400, ProblemType::HeaderMalformed),
        ("/v1/nothing", 404, ProblemType::RouteUnknown),
    ] {
        let response = by_script(broker.request(Method::GET, path), APP).send().await.unwrap();
        assert_eq!(header(&response, "access-control-allow-origin"), APP, "{path}");
        assert_problem(response, status, kind).await;
    }
}

#[tokio::test]
async fn a_script_of_a_listed_origin_may_read_retry_after() {
    let broker = listing(APP);
    for _ in 0..100 {
        broker.pushed("acme/orders", "x").await;
    }
    let response = by_script(broker.push("acme/orders", "x"), APP).send().await.unwrap();
    assert_eq!(names(&response, "access-control-expose-headers"), ["link", "retry-after"]);
    assert_problem(response, 429, ProblemType::ChannelFull).await;
}

#[tokio::test]
async fn a_star_allows_every_origin_and_the_answer_names_the_origin_of_the_request() {
    let broker = listing("*");
    let response =
        by_script(broker.pull("acme/orders", "wait=0"), "https://any.example").send().await.unwrap();
    assert_eq!(header(&response, "access-control-allow-origin"), "https://any.example");
}
