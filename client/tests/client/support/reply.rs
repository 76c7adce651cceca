//! Answers of a broker, and faults of a network.

use bytes::Bytes;
use http::{Response, StatusCode};
use restante_wire::{
    Problem, ProblemType,
    batch::{
        Content, DeliveredHead, DeliveredItem, FRAMES_CONTENT_TYPE, HeaderValues, LeaseResult, PushResult,
        SettlementResults, Settlements, encode_frame,
    },
};

/// Id of every message of [`message`].
pub(crate) const ID: &str = "01936d2a-7c3e-7000-8000-000000000001";
/// Lease of every message of [`message`].
pub(crate) const LEASE: &str = "aGVsbG8-_lease";

/// What a scripted broker does with a request.
pub(crate) enum Reply {
    /// Answers.
    Answer(Response<Bytes>),
    /// Closes the connection without an answer.
    Cut,
    /// Announces the whole body, sends half of it, and closes the connection.
    Half(Response<Bytes>),
    /// Never answers.
    Hang,
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    Reply::Answer(response(status, headers, body))
}

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

pub(crate) fn stored() -> Reply {
    answer(201, &[("message-id", ID), ("message-durability", "fsync")], "")
}

pub(crate) fn no_content() -> Reply {
    answer(204, &[], "")
}

/// A message with a lease of this number of seconds.
pub(crate) fn delivery(body: impl Into<Bytes>, lease_seconds: u32) -> Reply {
    Reply::Answer(message(body, lease_seconds))
}

pub(crate) fn half_delivery(body: impl Into<Bytes>) -> Reply {
    Reply::Half(message(body, 30))
}

fn message(body: impl Into<Bytes>, lease_seconds: u32) -> Response<Bytes> {
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("meta-colour", "red"),
        ("message-id", ID),
        ("message-deliveries", "2"),
        ("message-enqueued-at", "2026-11-23T05:06:07.123456Z"),
        ("location", &format!("/v1/leases/{LEASE}")),
        ("lease-duration", &lease_seconds.to_string()),
        ("cache-control", "no-store"),
    ];
    response(200, &headers, body)
}

pub(crate) fn renewed(lease_seconds: u32) -> Reply {
    answer(200, &[("lease-duration", &lease_seconds.to_string())], "")
}

/// An answer in JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Reply {
    answer(200, &[("content-type", "application/json")], serde_json::to_vec(value).unwrap())
}

/// Result of one message in the answer to a batch.
pub(crate) fn result(status: u16, kind: Option<ProblemType>) -> PushResult {
    let id = (status == 201).then(|| ID.to_owned());
    PushResult { status, id, replayed: false, problem: kind.map(|kind| problem_of(status, kind)) }
}

/// A message of a batch. Its lease and its id end in its number.
pub(crate) fn item(number: usize, lease_seconds: u64) -> DeliveredItem {
    let head = DeliveredHead {
        content_type: Some("text/plain".into()),
        group: Some(format!("g{number}")),
        headers: [("meta-colour".to_owned(), HeaderValues::One("red".into()))].into(),
        id: format!("01936d2a-7c3e-7000-8000-0000000000{number:02}"),
        enqueued_at: "2026-11-23T05:06:07.123456Z".into(),
        deliveries: 1,
        lease: Some(format!("lease-{number}")),
        lease_seconds: Some(lease_seconds),
        ..DeliveredHead::default()
    };
    DeliveredItem { content: Content(format!("message {number}").into_bytes()), head }
}

/// A batch as frames.
pub(crate) fn frames(items: impl IntoIterator<Item = DeliveredItem>) -> Reply {
    let mut body = Vec::new();
    for DeliveredItem { content, head } in items {
        encode_frame(&head, &content.0, &mut body);
    }
    answer(200, &[("content-type", FRAMES_CONTENT_TYPE)], body)
}

/// Answers every lease of a bulk request with the same status.
pub(crate) fn settled(body: &[u8], status: u16) -> Reply {
    let settlements: Settlements = serde_json::from_slice(body).unwrap();
    let all = |count| {
        let lease_seconds = (status == 200).then_some(1);
        vec![LeaseResult { status, lease_seconds, lease_expires_at: None, problem: None }; count]
    };
    json(&SettlementResults {
        ack: all(settlements.ack.len()),
        release: all(settlements.release.len()),
        reject: all(settlements.reject.len()),
        renew: all(settlements.renew.len()),
    })
}

fn problem_of(status: u16, kind: ProblemType) -> Problem {
    let detail = "the detail says what to do".into();
    Problem { type_uri: kind.uri(), title: kind.title().into(), status, detail }
}

/// A refusal with problem details.
pub(crate) fn problem(status: u16, kind: ProblemType) -> Reply {
    let problem = problem_of(status, kind);
    assert!(StatusCode::from_u16(status).is_ok());
    answer(status, &[("content-type", "application/problem+json")], serde_json::to_vec(&problem).unwrap())
}
