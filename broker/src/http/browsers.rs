//! Keeping browsers out of an open broker: pages of strangers must not use it in their visitors' name.
//!
//! A browser says in `Origin` (RFC 6454 section 7) whose page it asks for, so a request with an origin that is not listed
//! is refused. A page that had its own host name resolve to the broker's address (DNS rebinding) is of the same origin
//! as what it asks, and its browser says nothing; but it says that name in `Host`, so names that are not listed are
//! refused as well. Programs send no `Origin`, and ask by the address or by a name that the broker was told.

use http::{
    HeaderMap, Request, Version,
    header::{HOST, ORIGIN},
};
use restante_wire::ProblemType;

use super::HttpError;

/// What is listed; `*` lists everything.
#[derive(Debug, Clone, Default)]
pub struct BrowserRules {
    /// Origins, `scheme://host[:port]`, as browsers write them.
    origins: Vec<String>,
    /// Host names, without a port.
    hosts: Vec<String>,
}

impl BrowserRules {
    /// The rules of what is listed.
    pub fn new(origins: Vec<String>, hosts: Vec<String>) -> Self {
        Self { origins, hosts }
    }

    /// Refuses what a browser may have sent for a stranger.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), HttpError> {
        self.check_origin(request.headers())?;
        // HTTP/2 has the name in `:authority`, which is part of the URI here (RFC 9113 section 8.3.1).
        let host = match request.headers().get(HOST) {
            Some(host) => host.to_str().ok(),
            None => request.uri().authority().map(|authority| authority.as_str()),
        };
        match host {
            Some(host) if self.lists_host(name_of(host)) => Ok(()),
            Some(host) => Err(HttpError::new(
                ProblemType::HostForbidden,
                format!(
                    "the broker is not asked for by the name {:?}: ask by its IP address or localhost, or list the name \
                     (--allowed-hosts)",
                    name_of(host)
                ),
            )),
            // Before HTTP/1.1 there was no Host, and there were no browsers to speak of.
            None if request.version() < Version::HTTP_11 => Ok(()),
            None => Err(HttpError::new(
                ProblemType::HeaderMalformed,
                "the header Host is missing or no text (RFC 9112 section 3.2): say it",
            )),
        }
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or("?");
            if !self.origins.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin)) {
                let detail = format!(
                    "pages of the origin {origin:?} may not use this broker: list it (--allowed-origins), or ask without a \
                     browser"
                );
                return Err(HttpError::new(ProblemType::OriginForbidden, detail));
            }
        }
        Ok(())
    }

    fn lists_host(&self, name: &str) -> bool {
        is_address(name)
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(name))
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets (RFC 3986 section 3.2.2).
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Whether a host is an IP address: no name, so nothing that anybody could have resolve to the broker.
fn is_address(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: Option<&str>, origin: Option<&str>) -> Result<(), ProblemType> {
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
    fn the_broker_is_asked_for_by_an_address_or_by_a_name_that_is_listed() {
        for host in [
            "127.0.0.1:8080",
            "10.1.2.3",
            "[::1]:8080",
            "[fd00::1]",
            "localhost:8080",
            "LocalHost",
            "Restante-Default.restante-system.svc:8080",
        ] {
            assert_eq!(asked(Some(host), None), Ok(()), "{host}");
        }
        for host in ["evil.example.com", "127.0.0.1.evil.example.com", "localhost.evil", "[evil]", ""] {
            assert_eq!(asked(Some(host), None), Err(ProblemType::HostForbidden), "{host}");
        }
        assert_eq!(asked(None, None), Err(ProblemType::HeaderMalformed));
    }

    #[test]
    fn a_page_of_an_origin_that_is_not_listed_is_kept_out() {
        assert_eq!(asked(Some("localhost"), Some("https://app.example.com")), Ok(()));
        for origin in
            ["https://evil.example.com", "null", "http://app.example.com", "https://app.example.com:8443"]
        {
            assert_eq!(asked(Some("localhost"), Some(origin)), Err(ProblemType::OriginForbidden), "{origin}");
        }
    }

    #[test]
    fn a_star_lists_everything() {
        let rules = BrowserRules::new(vec!["*".into()], vec!["*".into()]);
        let request =
            Request::builder().header(HOST, "any.example.com").header(ORIGIN, "null").body(()).unwrap();
        assert!(rules.check(&request).is_ok());
    }
}
