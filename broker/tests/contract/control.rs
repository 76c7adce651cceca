//! The control API, over its own port with its own credential.

use reqwest::{Method, StatusCode};
use restante_wire::{
    Address, ChannelStats, ProblemType, Revision,
    control::{ChannelDeleted, StoreState},
};

use crate::broker::assert_problem;
use crate::operator::{channel, control, programmed_by_an_operator, put, sync};

#[tokio::test]
async fn a_broker_serves_the_channels_of_its_operator_and_reports_their_revision() {
    let broker = programmed_by_an_operator();
    let state: StoreState =
        control(&broker, Method::GET, "revision", String::new()).await.json().await.unwrap();
    assert_eq!((state.revision, state.synced_at), (Revision::default(), None));
    let (one, two) = (channel("one"), channel("two"));
    let state: StoreState = sync(&broker, &[one.clone(), two.clone()]).await.json().await.unwrap();
    assert_eq!(state.revision, Revision::of([&one, &two]));
    assert!(state.synced_at.is_some());
    broker.pushed("acme/one", "x").await;
    let mut changed = two.clone();
    changed.source = Address::new("acme", "elsewhere").unwrap();
    let state: StoreState = put(&broker, &changed).await.json().await.unwrap();
    assert_eq!(state.revision, Revision::of([&one, &changed]));
    broker.pushed("acme/two", "y").await;
    assert_eq!(broker.pulled("acme/elsewhere").await.0, b"y");
}

#[tokio::test]
async fn the_channels_survive_a_restart_without_the_operator() {
    let mut broker = programmed_by_an_operator();
    sync(&broker, &[channel("one")]).await;
    let before: StoreState =
        control(&broker, Method::GET, "revision", String::new()).await.json().await.unwrap();
    broker.kill();
    broker.start();
    let after: StoreState =
        control(&broker, Method::GET, "revision", String::new()).await.json().await.unwrap();
    assert_eq!(after, before);
    broker.pushed("acme/one", "x").await;
}

#[tokio::test]
async fn a_control_request_without_the_token_is_401() {
    let broker = programmed_by_an_operator();
    for path in ["revision", "sync", "nothing"] {
        let url = format!("http://{}/control/v1/{path}", broker.address("--control-listen"));
        let response = broker.client.get(&url).send().await.unwrap();
        assert_problem(response, 401, ProblemType::Unauthorized).await;
        let response = broker.client.get(&url).bearer_auth("wrong").send().await.unwrap();
        assert_problem(response, 401, ProblemType::Unauthorized).await;
    }
}

#[tokio::test]
async fn a_channel_missing_from_the_set_keeps_its_messages_and_its_waiting_receivers_get_404() {
    let broker = programmed_by_an_operator();
    sync(&broker, &[channel("one"), channel("two")]).await;
    broker.pushed("acme/one", "stays").await;
    let waiting = tokio::spawn(broker.pull("acme/two", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    let state: StoreState = sync(&broker, &[]).await.json().await.unwrap();
    assert_eq!((state.channels, state.orphans), (0, 2));
    assert_problem(waiting.await.unwrap().unwrap(), 404, ProblemType::AddressUnknown).await;
    let response = broker.pull("acme/one", "wait=0").send().await.unwrap();
    assert_problem(response, 404, ProblemType::AddressUnknown).await;
    sync(&broker, &[channel("one")]).await;
    assert_eq!(broker.pulled("acme/one").await.0, b"stays");
}

#[tokio::test]
async fn a_channel_with_messages_is_deleted_only_with_force_and_never_returns() {
    let broker = programmed_by_an_operator();
    let one = channel("one");
    sync(&broker, std::slice::from_ref(&one)).await;
    broker.pushed("acme/one", "x").await;
    let (_, lease) = broker.pulled("acme/one").await;
    let waiting = tokio::spawn(broker.pull("acme/one", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    let path = format!("channels/{}", one.uid);
    let response = control(&broker, Method::DELETE, &path, String::new()).await;
    let problem = assert_problem(response, 409, ProblemType::ChannelNotEmpty).await;
    assert!(problem.detail.contains('1'), "{}", problem.detail);
    let deleted: ChannelDeleted =
        control(&broker, Method::DELETE, &format!("{path}?force=true"), String::new())
            .await
            .json()
            .await
            .unwrap();
    assert_eq!((deleted.messages, deleted.store.channels), (1, 0));
    assert_problem(waiting.await.unwrap().unwrap(), 404, ProblemType::AddressUnknown).await;
    let response = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_problem(response, 410, ProblemType::ChannelDeleted).await;
    assert_problem(put(&broker, &one).await, 410, ProblemType::ChannelDeleted).await;
    let again: ChannelDeleted =
        control(&broker, Method::DELETE, &path, String::new()).await.json().await.unwrap();
    assert_eq!(again.messages, 0);
}

#[tokio::test]
async fn statistics_are_served_for_one_channel_and_for_all() {
    let broker = programmed_by_an_operator();
    let one = channel("one");
    sync(&broker, &[one.clone(), channel("two")]).await;
    broker.pushed("acme/one", "12345").await;
    let response = control(&broker, Method::GET, &format!("channels/{}/stats", one.uid), String::new()).await;
    let stats: ChannelStats = response.json().await.unwrap();
    assert_eq!((stats.ready, stats.bytes), (1, 5));
    let all = control(&broker, Method::GET, "stats", String::new()).await.text().await.unwrap();
    let all: Vec<ChannelStats> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.iter().map(ChannelStats::messages).sum::<u64>(), 1);
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn an_invalid_or_conflicting_set_changes_nothing() {
    let broker = programmed_by_an_operator();
    sync(&broker, &[channel("one")]).await;
    let mut thief = channel("two");
    thief.source = channel("one").source;
    assert_problem(sync(&broker, &[channel("one"), thief.clone()]).await, 409, ProblemType::ChannelConflict)
        .await;
    assert_problem(put(&broker, &thief).await, 409, ProblemType::ChannelConflict).await;
    let mut invalid = channel("two");
    invalid.delivery.wait_seconds = 10_000;
    assert_problem(put(&broker, &invalid).await, 400, ProblemType::ChannelInvalid).await;
    let response = control(&broker, Method::POST, "sync", "{\"not\": \"a channel\"}".into()).await;
    assert_problem(response, 400, ProblemType::BodyMalformed).await;
    let state: StoreState =
        control(&broker, Method::GET, "revision", String::new()).await.json().await.unwrap();
    assert_eq!(state.revision, Revision::of([&channel("one")]));
    let response = broker.push("acme/two", "x").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}
