//! Peeking at messages; redriving and purging dead letters.

use restante_client::{
    Control, OptionsError, PeekOptions, PeekState, PeekedBatch, ProblemType, Purge, Purged, PurgedState,
    Redrive, Redriven,
};
use restante_wire::{DeadLetterCause, batch::DeadLetterNote, control_token::ControlTokenError};

use crate::support::{
    PATIENCE, address,
    broker::Broker,
    client, options,
    reply::{Reply, item, json, problem},
};

const UID: uuid::Uuid = uuid::Uuid::from_u128(7);

#[tokio::test]
async fn a_peek_has_a_state_and_continues_after_the_last_page() {
    let note = DeadLetterNote {
        cause: DeadLetterCause::Rejected,
        reason: Some("no bolts".into()),
        since: "2026-11-23T05:06:07Z".into(),
        channel: Some("demo/orders".into()),
        held_in: Some("demo/orders-dead".into()),
    };
    let mut dead = item(1, 30);
    (dead.head.lease, dead.head.dead_letter) = (None, Some(note.clone()));
    let page = PeekedBatch { messages: vec![dead], next: Some("a/b+c=".into()) };
    let broker = Broker::start(move |_, number| match number {
        0 => problem(503, ProblemType::Busy),
        _ => json(&page),
    })
    .await;
    let client = client(&broker.url);
    let found = client.peek(&address(), &PeekOptions::default(), PATIENCE).await.unwrap();
    assert_eq!(found.messages[0].dead_letter, Some(note));
    let mut options = PeekOptions::default();
    (options.state, options.after, options.messages_max) = (PeekState::Dead, found.next, Some(5));
    client.peek(&address(), &options, PATIENCE).await.unwrap();
    let log = broker.log();
    assert_eq!(log.seen[1].line(), "GET /v1/peek/demo/orders?state=ready");
    assert_eq!(log.seen[2].line(), "GET /v1/peek/demo/orders?state=dead&after=a%2Fb%2Bc%3D&max=5");
}

#[tokio::test]
async fn a_redrive_is_retried_under_one_key_with_the_control_token() {
    let broker = Broker::start(|_, number| match number {
        0 => Reply::Cut,
        1 => json(&Redriven { moved: 3, left: 1, ..Redriven::default() }),
        _ => json(&Purged { purged: 1 }),
    })
    .await;
    let control = Control::new(options(&broker.url), "a-token-of-the-control-port-of-this-test").unwrap();
    let redrive = Redrive { to: None, limit: Some(3) };
    let redriven = control.redrive(UID, &redrive, PATIENCE).await.unwrap();
    assert_eq!((redriven.moved, redriven.left), (3, 1));
    let purge = Purge { states: vec![PurgedState::Dead] };
    assert_eq!(control.purge(UID, &purge, PATIENCE).await.unwrap().purged, 1);
    let log = broker.log();
    let key = |seen: usize| log.seen[seen].header("idempotency-key").to_owned();
    assert!(key(0) == key(1) && key(1) != key(2) && key(0).len() == 38, "{}", key(0));
    assert_eq!(log.seen[1].line(), format!("POST /control/v1/channels/{UID}/redrive"));
    assert_eq!(log.seen[1].body, r#"{"limit":3}"#);
    assert_eq!(log.seen[1].header("authorization"), "Bearer a-token-of-the-control-port-of-this-test");
    assert_eq!(log.seen[2].line(), format!("POST /control/v1/channels/{UID}/purge"));
    assert_eq!(log.seen[2].body, r#"{"states":["dead"]}"#);
}

#[tokio::test]
async fn an_invalid_control_token_is_refused_without_printing_it() {
    let error = Control::new(options("http://127.0.0.1:9"), "sec\nret").unwrap_err();
    assert!(
        matches!(error, OptionsError::ControlToken(ControlTokenError::Lines))
            && !error.to_string().contains("sec"),
        "{error}"
    );
    let broker = Broker::start(|_, _| problem(401, ProblemType::Unauthorized)).await;
    let control = Control::new(options(&broker.url), "open-sesame-open-sesame-open-sesame").unwrap();
    let error = control.redrive(UID, &Redrive::default(), PATIENCE).await.unwrap_err();
    assert_eq!(error.problem_type(), Some(ProblemType::Unauthorized));
    assert!(!format!("{control:?} {error:?}").contains("sesame"));
}
