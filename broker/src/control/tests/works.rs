//! Redriving and purging, and channels that are managed by manifests.

use restante_wire::{
    ProblemType,
    control::{Purged, Redriven, StoreState},
};

use super::*;

impl Port {
    async fn work(&self, what: &str, key: Option<&str>, body: &'static str) -> Response {
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
async fn a_work_is_done_once_for_each_key() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one")]).await).await;
    for _ in 0..2 {
        let redriven: Redriven = ok(port.work("redrive", Some("a"), "{\"limit\": 5}").await).await;
        assert_eq!(redriven, Redriven { moved: 5, ..Redriven::default() });
    }
    assert_eq!(*lock(&port.told.works), 1);
    let (status, kind, _) = problem(port.work("redrive", Some("a"), "").await).await;
    assert_eq!((status, kind), (422, ProblemType::IdempotencyMismatch));
    for works in 2..=3 {
        let purged: Purged = ok(port.work("purge", None, "{\"states\": [\"ready\", \"dead\"]}").await).await;
        assert_eq!((purged.purged, *lock(&port.told.works)), (2, works));
    }
}

#[tokio::test]
async fn a_work_that_cannot_be_obeyed_is_named_and_not_done() {
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
            problem(port.work(what, None, body).await).await.1,
            ProblemType::BodyMalformed,
            "{what} {body}"
        );
    }
    let to_nowhere = "{\"to\": \"00000000-0000-0000-0000-000000000001\"}";
    assert_eq!(problem(port.work("redrive", None, to_nowhere).await).await.1, ProblemType::ChannelUnknown);
    assert_eq!(*lock(&port.told.works), 0);
}

#[tokio::test]
async fn channels_are_told_that_they_changed() {
    let port = Port::open();
    let _: StoreState = ok(port.sync(&[config("one"), config("two")]).await).await;
    assert_eq!(lock(&port.told.changed).len(), 2);
}

#[tokio::test]
async fn where_managed_by_manifests_the_set_is_looked_at_and_not_changed() {
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
