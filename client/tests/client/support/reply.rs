//! Answers as a broker gives them, and as a bad day does.

use bytes::Bytes;
use http::{Response, StatusCode};
use restante_wire::{Problem, ProblemType};

/// The message that every [`content`] is.
pub(crate) const ID: &str = "01936d2a-7c3e-7000-8000-000000000001";
/// Its lease.
pub(crate) const LEASE: &str = "aGVsbG8-_lease";

/// What a scripted broker does with a request.
pub(crate) enum Reply {
    /// Answers.
    Answer(Response<Bytes>),
    /// Closes the connection without an answer.
    Cut,
    /// Announces this content whole, sends half of it, and closes the connection.
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

pub(crate) fn nothing() -> Reply {
    answer(204, &[], "")
}

/// A message with a lease of so many seconds.
pub(crate) fn content(body: impl Into<Bytes>, lease_seconds: u32) -> Reply {
    Reply::Answer(message(body, lease_seconds))
}

pub(crate) fn half_content(body: impl Into<Bytes>) -> Reply {
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

/// A refusal in a broker's words.
pub(crate) fn problem(status: u16, kind: ProblemType) -> Reply {
    let detail = "the detail says what to do".into();
    let problem = Problem { type_uri: kind.uri(), title: kind.title().into(), status, detail };
    assert!(StatusCode::from_u16(status).is_ok());
    answer(status, &[("content-type", "application/problem+json")], serde_json::to_vec(&problem).unwrap())
}
