//! The operations of the data port, from the broker's own document.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    broker::{Broker, header},
    operator::{channel, orders, with_channels},
};

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) id: String,
    method: Method,
    /// With `{lease}` in the place of a lease.
    path: String,
    described: Value,
}

/// A broker with `acme/orders`, which has messages to lease, and `acme/empty`, which is empty and has no waiting
/// receiver.
pub(super) async fn broker() -> Broker {
    let mut empty = channel("empty");
    (empty.delivery.wait_seconds, empty.delivery.max_wait_seconds) = (0, 0);
    with_channels(&[orders(|_| ()), empty]).await
}

/// All operations, with addresses of two segments: other lengths are served alike.
pub(super) async fn operations(broker: &Broker) -> Vec<Operation> {
    let response = broker.request(Method::GET, "/openapi.json").send().await.unwrap();
    let document: Value = response.json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    let paths = paths.iter().filter(|(path, _)| !path.contains("{link}"));
    let operations = paths.flat_map(|(path, item)| {
        let of_path =
            item.as_object().unwrap().iter().filter(|(_, described)| described.get("operationId").is_some());
        of_path.map(|(method, described)| Operation {
            id: described["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            // A pushed message must not be pulled.
            path: path
                .replace("/errors/{name}", "/errors/busy")
                .replace("{namespace}", "acme")
                .replace("{name}", if described["operationId"] == "push" { "orders" } else { "empty" }),
            described: described.clone(),
        })
    });
    let operations: Vec<_> = operations.collect();
    assert!(operations.len() > 15, "{operations:?}");
    operations
}

pub(super) fn of<'a>(operations: &'a [Operation], id: &str) -> &'a Operation {
    operations.iter().find(|one| one.id == id).unwrap_or_else(|| panic!("there is no operation {id}"))
}

impl Operation {
    /// The names of its parameters at a place: `query` or `header`.
    pub(super) fn parameters(&self, place: &str) -> Vec<String> {
        let all = self.described["parameters"].as_array().cloned().unwrap_or_default();
        let here = all.iter().filter(|parameter| parameter["in"] == place);
        here.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    }

    /// A valid request with this query.
    pub(super) async fn request(&self, broker: &Broker, query: &str) -> RequestBuilder {
        let path = if self.path.contains("{lease}") {
            broker.pushed("acme/orders", "x").await;
            let response = broker.pull("acme/orders", "wait=5&lease=60").send().await.unwrap();
            let location = header(&response, "location");
            self.path.replace("/v1/leases/{lease}", &location)
        } else {
            self.path.clone()
        };
        let request = broker.request(self.method.clone(), &format!("{path}?{query}"));
        match self.id.as_str() {
            "push" => request.body("x"),
            "pushBatch" => request.json(&json!({"messages": []})),
            "settleMany" => request.json(&json!({})),
            _ => request,
        }
    }

    /// Whether it ignores parameters and headers: probes of load balancers have some of their own, and links to pages
    /// as well.
    pub(super) fn ignores_parameters(&self) -> bool {
        ["live", "liveHead", "ready", "readyHead", "page", "pageHead"].contains(&&*self.id)
    }

    /// The status of the answer to a valid request.
    pub(super) fn status(&self) -> u16 {
        match self.id.as_str() {
            "push" => 201,
            "pull" | "pullBatch" | "receive" | "settle" | "release" | "reject" => 204,
            _ => 200,
        }
    }
}
