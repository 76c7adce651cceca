//! Keeps browsers out of a broker without access control: a page must not use the broker in the name of its visitor.
//!
//! A browser sends the origin of the page in `Origin` (RFC 6454 section 7), so a request with an origin that is not
//! listed is refused. An `<img>` or a link has no `Origin`, but all current browsers tell in `Sec-Fetch-Site` and
//! `Sec-Fetch-Mode` (W3C Fetch Metadata) where the request comes from.
//!
//! A page can make its own host name resolve to the broker's address (DNS rebinding). Then page and broker have the
//! same origin, and these headers show nothing. But `Host` has the page's name, so host names that are not listed are
//! refused as well.
//!
//! Programs send none of these headers, except Node's fetch: it sends `Sec-Fetch-Mode: cors`, which alone is not a
//! reason to refuse.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Version,
    header::{HOST, ORIGIN},
};
use restante_wire::ProblemType;

use super::HttpError;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// Probes accept every request: load balancers use any host name, and the answers reveal nothing.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// Pages that are the same for everybody, so that links of any site can lead to them.
const PUBLIC_PAGES: [&str; 2] = ["/errors/", "/openapi.json"];
/// Pages that people can open by typing the address; links of other sites cannot lead to them.
const OPENED_PAGES: [&str; 2] = ["/ui/", "/metrics"];

/// The allowed origins and host names; `*` allows all.
#[derive(Debug, Clone, Default)]
pub struct BrowserRules {
    /// Origins, `scheme://host[:port]`, as browsers write them.
    origins: Vec<String>,
    /// Host names, without a port.
    hosts: Vec<String>,
}

impl BrowserRules {
    /// Rules that allow these origins and host names.
    pub fn new(origins: Vec<String>, hosts: Vec<String>) -> Self {
        Self { origins, hosts }
    }

    /// The same rules without origins, for a port that no page may use.
    pub fn without_origins(&self) -> Self {
        Self { origins: Vec::new(), hosts: self.hosts.clone() }
    }

    /// Whether any origin is allowed, so that answers depend on the origin of the request.
    pub(super) fn list_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Refuses a request that a browser may have sent for an untrusted page.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), HttpError> {
        let path = request.uri().path();
        if PROBES.contains(&path) {
            return Ok(());
        }
        self.check_origin(request.headers())?;
        self.check_fetch(path, request)?;
        self.check_host(request)
    }

    fn check_host<B>(&self, request: &Request<B>) -> Result<(), HttpError> {
        // In HTTP/2 the name is in `:authority`, which is part of the URI here (RFC 9113 section 8.3.1).
        let host = match request.headers().get(HOST) {
            Some(host) => host.to_str().ok(),
            None => request.uri().authority().map(|authority| authority.as_str()),
        };
        match host {
            Some(host) if self.lists_host(name_of(host)) => Ok(()),
            Some(host) => Err(HttpError::new(
                ProblemType::HostForbidden,
                format!(
                    "the host name {:?} is not allowed; use the broker's IP address or localhost, or add the name to \
                     --allowed-hosts",
                    name_of(host)
                ),
            )),
            // HTTP/1.0 has no Host, and no browser in use speaks it.
            None if request.version() < Version::HTTP_11 => Ok(()),
            None => Err(HttpError::new(
                ProblemType::HeaderMalformed,
                "the header Host is missing or invalid (RFC 9112 section 3.2); send the name or address of the broker",
            )),
        }
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or("?");
            if !self.lists_origin(origin) {
                let detail = format!(
                    "the origin {origin:?} is not allowed; add it to --allowed-origins, or use a client that is not a \
                     browser"
                );
                return Err(HttpError::new(ProblemType::OriginForbidden, detail));
            }
        }
        Ok(())
    }

    /// Refuses by the browser's description of the page and of the element or script that makes the request. An
    /// `Origin` was checked before, so one that is there is allowed.
    fn check_fetch<B>(&self, path: &str, request: &Request<B>) -> Result<(), HttpError> {
        let headers = request.headers();
        if headers.contains_key(&SEC_PURPOSE) {
            return Err(browser_forbidden(
                "the request is a prefetch by a browser (Sec-Purpose), which is not allowed; use fetch() in a page"
                    .into(),
            ));
        }
        let is_mode = |wanted: &str| headers.get_all(&SEC_FETCH_MODE).iter().any(|mode| mode == wanted);
        if is_mode("navigate") {
            let is_read = request.method().is_safe();
            if is_read && is_under(path, &PUBLIC_PAGES) {
                return Ok(());
            }
            if !(is_read && is_under(path, &OPENED_PAGES)) {
                return Err(browser_forbidden(format!(
                    "opening {path} in a browser is not allowed (Sec-Fetch-Mode: navigate); use curl or another client"
                )));
            }
        }
        for site in headers.get_all(&SEC_FETCH_SITE) {
            let asked_by_script = is_mode("cors") && headers.contains_key(ORIGIN);
            if site != "same-origin" && site != "none" && !asked_by_script {
                return Err(browser_forbidden(
                    "a link or an element of another site made the request (Sec-Fetch-Site), which is not allowed; use \
                     fetch() in a page of an allowed origin (--allowed-origins), or a client that is not a browser"
                        .into(),
                ));
            }
        }
        Ok(())
    }

    /// The origin of the request, if it is allowed.
    pub(super) fn listed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        headers.get(ORIGIN).filter(|origin| origin.to_str().is_ok_and(|origin| self.lists_origin(origin)))
    }

    fn lists_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
    }

    fn lists_host(&self, name: &str) -> bool {
        is_address(name)
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(name))
    }
}

fn browser_forbidden(detail: String) -> HttpError {
    HttpError::new(ProblemType::BrowserForbidden, detail)
}

/// Whether a path is one of these pages, or below one of them.
fn is_under(path: &str, pages: &[&str]) -> bool {
    pages.iter().any(|page| {
        path.strip_prefix(page)
            .is_some_and(|rest| page.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    })
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets (RFC 3986 section 3.2.2).
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Whether a host is an IP address, which cannot be rebound like a name.
fn is_address(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn check_host_and_origin(host: Option<&str>, origin: Option<&str>) -> Result<(), ProblemType> {
        let rules = BrowserRules::new(
            vec!["https://app.example.com".into()],
            vec!["restante-default.restante-system.svc".into()],
        );
        let mut request = Request::builder().uri("/v1/messages/acme/orders");
        for (name, value) in [(HOST, host), (ORIGIN, origin)] {
            request = value.into_iter().fold(request, |request, value| request.header(&name, value));
        }
        rules.check(&request.body(()).unwrap()).map_err(|error| error.kind())
    }

    #[test]
    fn host_is_an_ip_address_or_a_listed_name() {
        for host in [
            "127.0.0.1:8080",
            "10.1.2.3",
            "[::1]:8080",
            "[fd00::1]",
            "localhost:8080",
            "LocalHost",
            "Restante-Default.restante-system.svc:8080",
        ] {
            assert_eq!(check_host_and_origin(Some(host), None), Ok(()), "{host}");
        }
        for host in ["evil.example.com", "127.0.0.1.evil.example.com", "localhost.evil", "[evil]", ""] {
            assert_eq!(check_host_and_origin(Some(host), None), Err(ProblemType::HostForbidden), "{host}");
        }
        assert_eq!(check_host_and_origin(None, None), Err(ProblemType::HeaderMalformed));
    }

    #[test]
    fn an_origin_that_is_not_listed_is_refused() {
        assert_eq!(check_host_and_origin(Some("localhost"), Some("https://app.example.com")), Ok(()));
        for origin in
            ["https://evil.example.com", "null", "http://app.example.com", "https://app.example.com:8443"]
        {
            assert_eq!(
                check_host_and_origin(Some("localhost"), Some(origin)),
                Err(ProblemType::OriginForbidden),
                "{origin}"
            );
        }
    }

    /// The outcome of a request with these headers and a host.
    fn fetched(method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(), ProblemType> {
        let rules = BrowserRules::new(vec!["https://app.example.com".into()], Vec::new());
        let request = Request::builder().method(method).uri(path).header(HOST, "127.0.0.1:8080");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        rules.check(&request.body(()).unwrap()).map_err(|error| error.kind())
    }

    const MESSAGES: &str = "/v1/messages/acme/orders";
    const FORBIDDEN: Result<(), ProblemType> = Err(ProblemType::BrowserForbidden);

    #[test]
    fn an_element_of_another_sites_page_is_refused_on_every_path() {
        for site in ["cross-site", "same-site", "Same-Origin", ""] {
            for mode in ["no-cors", "cors", "websocket"] {
                let headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
                for path in [MESSAGES, "/openapi.json", "/ui/", "/metrics"] {
                    assert_eq!(fetched(Method::GET, path, &headers), FORBIDDEN, "{path} {headers:?}");
                }
            }
        }
    }

    #[test]
    fn a_script_of_a_listed_origin_is_accepted_and_an_element_of_its_page_is_refused() {
        let from = |mode| {
            let headers = [
                ("origin", "https://app.example.com"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", mode),
            ];
            fetched(Method::POST, MESSAGES, &headers)
        };
        assert_eq!(from("cors"), Ok(()));
        assert_eq!(from("no-cors"), FORBIDDEN);
    }

    #[test]
    fn programs_are_accepted_with_the_fetch_mode_that_node_always_sends() {
        for headers in [&[][..], &[("sec-fetch-mode", "cors")], &[("sec-fetch-mode", "no-cors")]] {
            assert_eq!(fetched(Method::GET, MESSAGES, headers), Ok(()), "{headers:?}");
        }
        for site in ["same-origin", "none"] {
            let headers = [("sec-fetch-site", site), ("sec-fetch-mode", "cors")];
            assert_eq!(fetched(Method::GET, MESSAGES, &headers), Ok(()), "{site}");
        }
    }

    #[test]
    fn navigation_is_accepted_for_pages_only() {
        let navigate = |method, path: &str, site| {
            fetched(method, path, &[("sec-fetch-mode", "navigate"), ("sec-fetch-site", site)])
        };
        for path in ["/ui/", "/ui/channels", "/errors/busy", "/openapi.json", "/metrics", "/metrics/channels"]
        {
            assert_eq!(navigate(Method::GET, path, "none"), Ok(()), "{path}");
            assert_eq!(navigate(Method::POST, path, "none"), FORBIDDEN, "{path}");
        }
        for path in [MESSAGES, "/v1/peek/acme/orders", "/uix", "/openapi.jsonx", "/errors", "/"] {
            assert_eq!(navigate(Method::GET, path, "none"), FORBIDDEN, "{path}");
        }
        for (path, outcome) in [("/errors/busy", Ok(())), ("/openapi.json", Ok(())), ("/ui/", FORBIDDEN)] {
            assert_eq!(navigate(Method::GET, path, "cross-site"), outcome, "{path}");
        }
        assert_eq!(fetched(Method::GET, MESSAGES, &[("sec-fetch-mode", "navigate")]), FORBIDDEN);
    }

    #[test]
    fn a_browsers_prefetch_is_refused() {
        for purpose in ["prefetch", "prefetch;prerender", "anything"] {
            let headers = [("sec-purpose", purpose), ("sec-fetch-site", "none")];
            assert_eq!(fetched(Method::GET, MESSAGES, &headers), FORBIDDEN, "{purpose}");
        }
    }

    #[test]
    fn probes_accept_any_host_and_origin() {
        let headers = [
            ("origin", "https://evil.example.com"),
            ("sec-fetch-site", "cross-site"),
            ("sec-purpose", "prefetch"),
            ("sec-fetch-mode", "navigate"),
        ];
        for path in ["/livez", "/readyz"] {
            assert_eq!(fetched(Method::GET, path, &headers), Ok(()), "{path}");
            let by_name = Request::builder().uri(path).header(HOST, "evil.example.com").body(()).unwrap();
            assert!(BrowserRules::default().check(&by_name).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_star_allows_every_host_and_origin() {
        let rules = BrowserRules::new(vec!["*".into()], vec!["*".into()]);
        let request =
            Request::builder().header(HOST, "any.example.com").header(ORIGIN, "null").body(()).unwrap();
        assert!(rules.check(&request).is_ok());
    }
}
