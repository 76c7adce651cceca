//! Reading through the control port, and access without the token.

use super::*;

#[tokio::test]
async fn without_the_token_every_path_is_the_same_401() {
    let port = Port::open();
    for path in [path::CONTROL_REVISION, path::CONTROL_SYNC, &channel_path("one"), "/no/such/path"] {
        for authorization in [None, Some("Bearer a-token-that-nobody-guesses-at-alL"), Some("Basic YTpi")] {
            let mut request = Request::builder().uri(path);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let response = port.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
            let (status, kind, _) = problem(response).await;
            assert_eq!((status, kind), (401, ProblemType::Unauthorized), "{path}");
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_answered_with_a_problem() {
    let port = Port::open();
    let (status, kind, _) =
        problem(port.send(Method::GET, "/control/v2/revision", Body::empty()).await).await;
    assert_eq!((status, kind), (404, ProblemType::RouteUnknown));
    let response = port.send(Method::POST, path::CONTROL_REVISION, Body::empty()).await;
    assert!(response.headers().contains_key(header::ALLOW));
    assert_eq!(problem(response).await.1, ProblemType::MethodNotAllowed);
}

#[tokio::test]
async fn counts_are_shown_for_one_channel_an_orphan_or_all() {
    let port = Port::open();
    // More than are requested at a time.
    let many: Vec<_> = (0..2500).map(|number| config(&format!("c{number}"))).collect();
    let _: StoreState = ok(port.sync(&many).await).await;
    let first = port.store.channels().into_iter().min_by_key(|entry| entry.id).unwrap();
    lock(&port.calls.messages).insert(first.id, 42);
    let response = port.send(Method::GET, path::CONTROL_STATS, Body::empty()).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let text = String::from_utf8(bytes(response).await.to_vec()).unwrap();
    let all: Vec<ChannelStats> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.len(), 2500);
    assert_eq!((all[0].ready, all[1].ready), (42, 0));

    let _: StoreState = ok(port.sync(&[]).await).await;
    let path = format!("{}/stats", channel_path(&first.config.name));
    let stats: ChannelStats = ok(port.send(Method::GET, &path, Body::empty()).await).await;
    assert_eq!((stats.uid, stats.ready), (first.config.uid, 42));
    assert!(bytes(port.send(Method::GET, path::CONTROL_STATS, Body::empty()).await).await.is_empty());
    let path = format!("{}/stats", channel_path("never"));
    assert_eq!(
        problem(port.send(Method::GET, &path, Body::empty()).await).await.1,
        ProblemType::ChannelUnknown
    );

    *lock(&port.calls.gone) = true;
    let (status, kind, _) = problem(port.send(Method::GET, path::CONTROL_STATS, Body::empty()).await).await;
    assert_eq!((status, kind), (503, ProblemType::Draining));
}
