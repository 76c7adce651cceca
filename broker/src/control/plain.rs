//! Rejects requests to the control API with parts that would have no effect: a query parameter, a body where none is
//! read, a compressed body.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, request::Parts};
use restante_wire::{header::IDEMPOTENCY_KEY, path};

use crate::http::{
    HttpError, body,
    effects::{expect_effects, expect_no_coding},
    framing::check_codings,
    query::Query,
};

/// How long to wait for the end of a body that should be empty.
const NO_BODY_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn require(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match checked(&parts, body).await {
        Ok(body) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}

async fn checked(parts: &Parts, body: Body) -> Result<Body, HttpError> {
    check_codings(&parts.headers)?;
    let known: &[&str] = if parts.method == Method::DELETE { &["force"] } else { &[] };
    Query::parse(parts.uri.query(), known)?;
    // Idempotent operations need no key, but may have one.
    expect_effects(&parts.headers, &[IDEMPOTENCY_KEY])?;
    if takes_body(parts) {
        expect_no_coding(&parts.headers, "the control API")?;
        return Ok(body);
    }
    body::none(body::expect_none(body, NO_BODY_WITHIN)?).await?;
    Ok(Body::empty())
}

fn takes_body(parts: &Parts) -> bool {
    let is_post = parts.method == Method::POST && parts.uri.path() != path::CONTROL_BACKUP;
    is_post || parts.method == Method::PUT
}
