//! Redriving and purging, and channels that are managed by manifests.

use restante_wire::{
    ProblemType,
    control::{Purged, Redriven, StoreState},
};

use super::*;

impl Port {
    async fn operation(&self, what: &str, key: Option<&str>, body: &'static str) -> Response {
        let path = format!("{}{}/{what}", path::CONTROL_CHANNELS, config("one").uid);
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn an_operation_runs_once_for_each_key() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one")]).await).await;
    for _ in 0..2 {
        let redriven: Redriven = ok(port.operation("redrive", Some("a"), "{\"limit\": 5}").await).await;
        assert_eq!(redriven, Redriven { moved: 5, ..Redriven::default() });
    }
    assert_eq!(*lock(&port.calls.operations), 1);
    let (status, kind, _) = problem(port.operation("redrive", Some("a"), "").await).await;
    assert_eq!((status, kind), (422, ProblemType::IdempotencyMismatch));
    for operations in 2..=3 {
        let purged: Purged =
            ok(port.operation("purge", None, "{\"states\": [\"ready\", \"dead\"]}").await).await;
        assert_eq!((purged.purged, *lock(&port.calls.operations)), (2, operations));
    }
}

#[tokio::test]
async fn an_invalid_operation_is_refused_and_does_not_run() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one")]).await).await;
    for (what, body) in [
        ("purge", ""),
        ("purge", "{\"states\": []}"),
        ("purge", "{\"states\": [\"leased\"]}"),
        ("redrive", "{\"limits\": 5}"),
        ("redrive", "all"),
    ] {
        assert_eq!(
            problem(port.operation(what, None, body).await).await.1,
            ProblemType::BodyMalformed,
            "{what} {body}"
        );
    }
    let to_nowhere = "{\"to\": \"00000000-0000-0000-0000-000000000001\"}";
    assert_eq!(
        problem(port.operation("redrive", None, to_nowhere).await).await.1,
        ProblemType::ChannelUnknown
    );
    assert_eq!(*lock(&port.calls.operations), 0);
}

#[tokio::test]
async fn changed_channels_are_notified() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one"), config("two")]).await).await;
    assert_eq!(lock(&port.calls.changed).len(), 2);
}

#[tokio::test]
async fn a_broker_managed_by_manifests_shows_its_channels_and_refuses_changes() {
    let port = Port::open_with(true);
    for response in [
        port.sync(&[config("one")]).await,
        port.send(Method::PUT, &channel_path("one"), ndjson(&[config("one")])).await,
        port.send(Method::DELETE, &channel_path("one"), Body::empty()).await,
    ] {
        let (status, kind, detail) = problem(response).await;
        assert_eq!((status, kind), (409, ProblemType::ManagedByManifests));
        assert!(detail.contains("SIGHUP") && detail.contains("runs without --manifests"), "{detail}");
    }
    let _: StoreState = ok(port.send(Method::GET, path::CONTROL_REVISION, Body::empty()).await).await;
}
