//! CORS: lets scripts of an allowed origin read answers (Fetch standard, section 3.3, "HTTP extensions").
//!
//! [`super::browsers`] has checked the origin before. Credentials of a browser (cookies, certificates) are never used:
//! `Access-Control-Allow-Credentials` is not sent.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{
        self as standard, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, VARY,
    },
};
use restante_wire::header;

use super::{BrowserRules, RouteName};

/// How long a browser may cache a preflight, in seconds: the maximum of Chromium. The cache only saves preflights: the
/// origin of each request is checked again.
const MAX_AGE_SECONDS: u32 = 7200;

/// The request headers that the broker uses, in addition to the kept headers (`Meta-*`, `ce-*`).
const REQUEST_HEADERS: [&str; 11] = [
    "accept",
    "authorization",
    "cache-control",
    header::ACKNOWLEDGE,
    header::IDEMPOTENCY_KEY,
    header::MESSAGE_DELAY,
    header::MESSAGE_GROUP,
    header::MESSAGE_TTL,
    header::PREFER,
    header::RECEIVE_ATTEMPT_ID,
    header::RESTANTE_SETTLE,
];

/// Headers of an answer that need not be exposed: scripts can read them anyway (Fetch standard, "CORS-safelisted
/// response-header name"), or have no use for them.
const NOT_EXPOSED: [HeaderName; 11] = [
    standard::CACHE_CONTROL,
    standard::CONNECTION,
    standard::CONTENT_LANGUAGE,
    standard::CONTENT_LENGTH,
    standard::CONTENT_SECURITY_POLICY,
    standard::CONTENT_TYPE,
    standard::EXPIRES,
    standard::LAST_MODIFIED,
    standard::PRAGMA,
    VARY,
    standard::X_CONTENT_TYPE_OPTIONS,
];

/// The CORS state of a request until its answer is ready.
pub struct Cors {
    /// The origin of the request, if it is allowed.
    origin: Option<HeaderValue>,
}

impl Cors {
    /// The state of a request, before it is checked; `None` if no origin is allowed at all.
    pub fn of<B>(rules: &BrowserRules, request: &Request<B>) -> Option<Self> {
        rules.list_origins().then(|| Self { origin: rules.listed_origin(request.headers()).cloned() })
    }

    /// Answers a preflight, which a browser sends before a request that no HTML form could make. For an unknown path
    /// the router answers.
    pub fn preflight<B>(&self, routes: &[RouteName], request: &Request<B>) -> Option<Response> {
        let headers = request.headers();
        let asks = request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if self.origin.is_none() || !asks {
            return None;
        }
        let route = routes.iter().find(|route| route.fits(request.uri().path()))?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        let answer = response.headers_mut();
        insert_list(answer, ACCESS_CONTROL_ALLOW_METHODS, &route.methods);
        insert_list(answer, ACCESS_CONTROL_ALLOW_HEADERS, &known_headers(headers));
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS.into());
        Some(response)
    }

    /// Lets the script read the answer, also an error.
    pub fn allow(self, response: &mut Response) {
        let headers = response.headers_mut();
        vary_by_origin(headers);
        if let Some(origin) = self.origin {
            let exposed: Vec<_> = headers
                .keys()
                .filter(|name| !NOT_EXPOSED.contains(name) && !name.as_str().starts_with("access-control-"))
                .map(|name| name.as_str().to_owned())
                .collect();
            let exposed: Vec<_> = exposed.iter().map(String::as_str).collect();
            insert_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }
}

/// The requested headers that the contract knows, each once.
fn known_headers(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let request_with = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut known_headers = Vec::new();
    // No valid request has more of them.
    for name in request_with.map(str::trim).take(REQUEST_HEADERS.len() + header::KEPT_HEADERS_MAX) {
        let lower = name.to_ascii_lowercase();
        if (REQUEST_HEADERS.contains(&&*lower) || header::is_kept(&lower)) && !known_headers.contains(&name) {
            known_headers.push(name);
        }
    }
    known_headers
}

fn insert_list(headers: &mut HeaderMap, name: HeaderName, values: &[&str]) {
    // Names of methods and headers are visible ASCII, so this does not fail.
    if let (false, Ok(list)) = (values.is_empty(), HeaderValue::from_str(&values.join(", "))) {
        headers.insert(name, list);
    }
}

fn vary_by_origin(headers: &mut HeaderMap) {
    let others = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<_> = ["Origin"].into_iter().chain(others).collect();
    if let Ok(all) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(VARY, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "https://app.example.com";

    fn request_with(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(method).uri(path);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    fn rules(origin: &str) -> BrowserRules {
        BrowserRules::new(vec![origin.into()], Vec::new())
    }

    fn routes() -> Vec<RouteName> {
        let route = |prefix: &str, segments, rest, methods: &[&'static str]| RouteName {
            prefix: prefix.into(),
            segments,
            rest,
            name: format!("{prefix}{rest}"),
            methods: methods.to_vec(),
        };
        vec![
            route("/v1/messages/", None, "", &["GET", "HEAD", "POST"]),
            route("/v1/leases/", Some(1), "", &["DELETE"]),
            route("/v1/leases/", Some(1), "/renew", &["POST"]),
        ]
    }

    fn preflight(path: &str, headers: &[(&str, &str)]) -> Option<Response> {
        let asking = [("origin", APP), ("access-control-request-method", "GET")];
        let request = request_with(Method::OPTIONS, path, &[&asking, headers].concat());
        Cors::of(&rules(APP), &request).unwrap().preflight(&routes(), &request)
    }

    fn text(response: &Response, name: HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_preflight_names_the_methods_of_the_path() {
        for (path, methods) in [
            ("/v1/messages/acme/orders", "GET, HEAD, POST"),
            ("/v1/leases/token", "DELETE"),
            ("/v1/leases/token/renew", "POST"),
        ] {
            let response = preflight(path, &[]).unwrap();
            assert_eq!(response.status(), StatusCode::NO_CONTENT);
            assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_METHODS), Some(methods), "{path}");
        }
        assert!(preflight("/nothing", &[]).is_none());
    }

    #[test]
    fn a_preflight_allows_only_headers_of_the_contract() {
        let wanted = "content-type, restante-settle,meta-colour, x-made-up, ce-id, cookie, meta-colour";
        let response = preflight("/v1/messages/a/b", &[("access-control-request-headers", wanted)]).unwrap();
        let allowed = text(&response, ACCESS_CONTROL_ALLOW_HEADERS);
        assert_eq!(allowed, Some("content-type, restante-settle, meta-colour, ce-id"));
        let response =
            preflight("/v1/messages/a/b", &[("access-control-request-headers", "x-other")]).unwrap();
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_HEADERS), None);
    }

    #[test]
    fn only_a_preflight_of_a_listed_origin_bypasses_the_router() {
        let routes = routes();
        let method = ("access-control-request-method", "GET");
        for (asked_by, headers) in [
            (Method::OPTIONS, &[("origin", APP)][..]),
            (Method::GET, &[("origin", APP), method]),
            (Method::OPTIONS, &[method]),
        ] {
            let request = request_with(asked_by, "/v1/messages/a/b", headers);
            assert!(Cors::of(&rules(APP), &request).unwrap().preflight(&routes, &request).is_none());
        }
    }

    fn allowed(rules: &BrowserRules, origin: &str, headers: &[(&'static str, &'static str)]) -> Response {
        let mut response = StatusCode::OK.into_response();
        for (name, value) in headers {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        if let Some(cors) = Cors::of(rules, &request_with(Method::GET, "/", &[("origin", origin)])) {
            cors.allow(&mut response);
        }
        response
    }

    #[test]
    fn an_answer_exposes_exactly_the_headers_that_it_has() {
        let response = allowed(
            &rules(APP),
            APP,
            &[("content-type", "text/plain"), ("location", "/v1/leases/x"), ("meta-a", "1"), ("meta-a", "2")],
        );
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), Some(APP));
        assert_eq!(text(&response, ACCESS_CONTROL_EXPOSE_HEADERS), Some("location, meta-a"));
    }

    #[test]
    fn existing_values_of_vary_are_kept() {
        let response = allowed(&rules(APP), APP, &[("vary", "Prefer")]);
        assert_eq!(text(&response, VARY), Some("Origin, Prefer"));
        assert_eq!(text(&allowed(&rules(APP), "https://b.example.com", &[]), VARY), Some("Origin"));
        assert_eq!(text(&allowed(&BrowserRules::default(), APP, &[]), VARY), None);
    }

    #[test]
    fn with_a_star_the_answer_names_the_origin_of_the_request() {
        let response = allowed(&rules("*"), "https://any.example.com", &[]);
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), Some("https://any.example.com"));
    }

    #[test]
    fn an_answer_to_an_origin_that_is_not_listed_has_no_cors_headers() {
        let response = allowed(&rules(APP), "https://b.example.com", &[("location", "/v1/leases/x")]);
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), None);
        assert_eq!(text(&response, ACCESS_CONTROL_EXPOSE_HEADERS), None);
    }
}
