//! During a drain every answer says that its connection closes (RFC 9110 section 7.6.1).

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, Version, header::CONNECTION};
use tokio_util::sync::CancellationToken;

/// Says `Connection: close` once the drain has begun. HTTP/2 has GOAWAY for that, which the server sends.
pub(super) async fn close_when_draining(
    State(drain): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    if drain.is_cancelled() && version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
