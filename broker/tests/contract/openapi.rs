//! `/openapi.json`: served exactly like the committed file, with the routes of the broker.

use std::{collections::BTreeSet, fs, path::Path};

use reqwest::{Method, StatusCode};
use restante_wire::{ProblemType, path};
use serde_json::Value;

use crate::broker::{Broker, ORDERS, assert_problem, header};

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];

fn committed() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A path of this template without a channel, so that no request waits.
fn instance(template: &str) -> String {
    let segment =
        |segment: &str| if segment.starts_with('{') { "none".to_owned() } else { segment.to_owned() };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_broker_serves_the_committed_openapi_document() {
    let broker = Broker::serving(ORDERS);
    let response = broker.request(Method::GET, path::OPENAPI).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-type"), "application/json");
    let length = header(&response, "content-length");
    let document: Value = response.json().await.unwrap();
    assert_eq!(document, committed());
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));

    let head = broker.request(Method::HEAD, path::OPENAPI).send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, length));
    let response = broker.request(Method::GET, "/openapi.json?version=2").send().await.unwrap();
    assert_problem(response, 400, ProblemType::ParameterUnknown).await;
}

#[tokio::test]
async fn each_path_of_the_openapi_document_accepts_exactly_the_described_methods() {
    let broker = Broker::serving(ORDERS);
    for (template, item) in committed()["paths"].as_object().unwrap() {
        let named: BTreeSet<_> = item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
        for method in METHODS {
            let response = broker.request(method.clone(), &instance(template)).send().await.unwrap();
            let called = format!("{method} {template}");
            if named.contains(method.as_str()) {
                assert_ne!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{called}");
                let problem: Option<Value> = response.json().await.ok();
                let unknown =
                    problem.is_some_and(|problem| problem["type"] == ProblemType::RouteUnknown.uri());
                assert!(!unknown, "{called}: there is no such route");
            } else {
                assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{called}");
                let allowed = header(&response, "allow");
                assert_eq!(
                    allowed.split(',').map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>(),
                    named
                );
            }
        }
    }
}

#[test]
fn each_path_of_the_contract_is_in_the_openapi_document() {
    let document = committed();
    let templates: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    for prefix in [
        path::MESSAGES,
        path::RECEIVE,
        path::BATCHES,
        path::PEEK,
        path::LEASES,
        path::CHANNELS,
        path::SETTLEMENTS,
        path::OPENAPI,
    ] {
        assert!(templates.iter().any(|template| template.starts_with(prefix)), "{prefix}");
    }
}
