//! Checks whether a pull by GET may use `ack=auto`. An `<img>` of any page can make such a request, so it needs a
//! header that a simple request of a page cannot have.

use http::{Method, header as standard, request::Parts};
use restante_wire::{ProblemType, path};

use super::pull_request::PullRequest;
use crate::http::{HttpError, header::restante_settle};

/// Refuses `ack=auto` by GET with neither `Restante-Settle: yes` nor a credential. Also refuses `Restante-Settle`
/// without `ack=auto`: the caller would rely on settled messages.
pub(in crate::api) fn check(request: &PullRequest, parts: &Parts) -> Result<(), HttpError> {
    let is_meant = restante_settle(&parts.headers)?;
    if is_meant && !request.auto {
        let detail = "the header Restante-Settle has no effect without ack=auto; add ack=auto to the query, or leave \
                      the header out";
        return Err(malformed(detail.into()));
    }
    let by_get = request.auto && parts.method == Method::GET;
    if !by_get || is_meant || parts.headers.contains_key(standard::AUTHORIZATION) {
        return Ok(());
    }
    let detail = "ack=auto by GET has no header Restante-Settle; send the line \"Restante-Settle: yes\"";
    Err(malformed(match parts.uri.path().strip_prefix(path::MESSAGES) {
        Some(address) => format!("{detail}, or use POST {}{address}?ack=auto", path::RECEIVE),
        None => detail.into(),
    }))
}

fn malformed(detail: String) -> HttpError {
    HttpError::new(ProblemType::HeaderMalformed, detail)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use restante_wire::channel::Delivery;

    use super::*;
    use crate::{http::query::Query, shared::Share};

    fn checked(method: Method, path_and_query: &str, headers: &[(&str, &str)]) -> Result<(), HttpError> {
        let request = Request::builder().method(method).uri(path_and_query);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let query = Query::parse(parts.uri.query(), &super::super::pull_request::PARAMETERS).unwrap();
        let request =
            PullRequest::parse(&query, &parts.headers, &Delivery::default(), &Share::unbounded(), None)
                .unwrap();
        check(&request, &parts)
    }

    const AUTO: &str = "/v1/messages/acme/orders?ack=auto";

    #[test]
    fn ack_auto_by_get_needs_restante_settle_or_a_credential() {
        for headers in [[("restante-settle", "yes")], [("authorization", "Bearer x")]] {
            assert_eq!(checked(Method::GET, AUTO, &headers), Ok(()), "{headers:?}");
        }
        assert_eq!(checked(Method::POST, "/v1/receive/acme/orders?ack=auto", &[]), Ok(()));
        assert_eq!(checked(Method::GET, "/v1/messages/acme/orders", &[]), Ok(()));
    }

    #[test]
    fn the_refusal_of_a_bare_get_with_ack_auto_names_the_required_header() {
        let detail = |path| checked(Method::GET, path, &[]).unwrap_err().problem().detail;
        let line = "\"Restante-Settle: yes\"";
        assert!(detail(AUTO).ends_with(&format!("{line}, or use POST /v1/receive/acme/orders?ack=auto")));
        assert!(detail("/v1/batches/acme/orders?ack=auto").ends_with(line));
    }

    #[test]
    fn restante_settle_is_refused_without_ack_auto_and_accepted_where_it_is_not_needed() {
        let meant = [("restante-settle", "yes")];
        for (method, path) in [
            (Method::GET, "/v1/messages/a/b"),
            (Method::GET, "/v1/batches/a/b?wait=0"),
            (Method::POST, "/v1/receive/a/b"),
        ] {
            let refused = checked(method, path, &meant).unwrap_err();
            assert_eq!(refused.kind(), ProblemType::HeaderMalformed, "{path}");
            assert!(refused.problem().detail.contains("has no effect without ack=auto"), "{path}");
        }
        assert_eq!(checked(Method::POST, "/v1/receive/a/b?ack=auto", &meant), Ok(()));
        assert_eq!(checked(Method::GET, AUTO, &[meant[0], ("authorization", "Bearer x")]), Ok(()));
    }

    #[test]
    fn restante_settle_with_another_value_or_given_twice_is_refused_on_every_route() {
        let paths =
            [(Method::GET, AUTO), (Method::POST, "/v1/receive/a/b"), (Method::GET, "/v1/messages/a/b")];
        for (method, path) in paths {
            for values in [&["no"][..], &["Yes"], &[""], &["yes, yes"], &["yes", "yes"]] {
                let headers: Vec<_> = values.iter().map(|value| ("restante-settle", *value)).collect();
                let refused = checked(method.clone(), path, &headers).unwrap_err();
                assert_eq!(refused.kind(), ProblemType::HeaderMalformed, "{values:?} {path}");
            }
        }
    }
}
