//! Authentication: the bearer token grants access to the whole control API.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use restante_wire::ProblemType;

use super::Token;
use crate::http::error::HttpError;

/// Lets requests with the token through (RFC 6750 section 2.1).
pub(super) async fn require(State(token): State<Token>, request: Request, next: Next) -> Response {
    if bearer(request.headers()).is_some_and(|claimed| token.is(claimed)) {
        return next.run(request).await;
    }
    let detail = "the bearer token is missing or wrong; send `Authorization: Bearer` with the token of \
                  --control-token-file";
    let mut response = HttpError::new(ProblemType::Unauthorized, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The bearer token of a request. The name of the scheme is case-insensitive (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (all.next()?, all.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_the_text_after_the_bearer_scheme() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(of(&["Bearer abc"]), Some(b"abc".to_vec()));
        assert_eq!(of(&["bearer  abc"]), Some(b"abc".to_vec()));
        for none in [&[][..], &["Bearer"], &["Basic abc"], &["Bearer abc", "Bearer abc"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
