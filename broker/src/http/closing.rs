//! During a drain every answer says that its connection closes (RFC 9110 section 7.6.1).

use axum::response::Response;
use http::{HeaderValue, Version, header::CONNECTION};

use crate::drain::Drain;

/// Says `Connection: close` once the drain has begun. HTTP/2 has GOAWAY for that, which the server sends.
pub(super) fn close_when_draining(drain: &Drain, version: Version, response: &mut Response) {
    if drain.has_begun() && version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
