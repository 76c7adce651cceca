//! The path prefix of a broker behind a proxy: paths in answers begin with it, and requests may have it.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Request, Uri,
    header::{LINK, LOCATION},
    response::Response,
    uri::{Authority, PathAndQuery},
};

use super::proxies::{TrustedProxies, is_path};

/// The URL of the broker for external clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl(Uri);

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid =
            |why: &str| Err(format!("is invalid: {why}; write it like https://mq.example.com/path"));
        if text.is_empty() {
            return Err("is empty; leave the flag out, or write it like https://mq.example.com/path".into());
        }
        if text.contains(['?', '#']) {
            return invalid("it has a query or a fragment, and the paths of answers would follow it");
        }
        let Ok(url) = text.parse::<Uri>() else { return invalid("it is not a URL") };
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return invalid("it does not begin with http:// or https://");
        }
        let authority = url.authority().map_or("", Authority::as_str);
        if authority.contains('@') {
            return invalid("it has a user name");
        }
        let host = url.host().unwrap_or_default();
        let port = authority.strip_prefix(host).and_then(|port| port.strip_prefix(':'));
        if host.is_empty() || port.is_some_and(|port| !port.parse().is_ok_and(|port: u16| port > 0)) {
            return invalid("it has no host, or a port that is not 1 to 65535");
        }
        let path = path(&url);
        if !path.is_empty() && !is_path(path) {
            return invalid("a segment of its path is empty, has dots alone, or needs percent-encoding");
        }
        Ok(Self(url))
    }
}

impl ExternalUrl {
    /// The host; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }
}

/// The path of a URL, without a trailing slash.
fn path(url: &Uri) -> &str {
    url.path().strip_suffix('/').unwrap_or(url.path())
}

/// The path prefix under which clients reach the broker.
#[derive(Debug, Clone, Default)]
pub struct Prefix {
    /// The path of the external URL, without a trailing slash.
    external: Option<Arc<str>>,
    proxies: TrustedProxies,
}

impl Prefix {
    /// The prefix of an external URL, else the prefix that trusted proxies send.
    pub fn new(external: Option<&ExternalUrl>, proxies: TrustedProxies) -> Self {
        let path = external.map(|url| path(&url.0));
        Self { external: path.filter(|path| !path.is_empty()).map(Into::into), proxies }
    }

    /// The prefix for the answer to a request.
    pub fn of(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Arc<str>> {
        if self.external.is_some() || self.proxies.is_empty() {
            return self.external.clone();
        }
        self.proxies.prefix(peer, headers).map(Into::into)
    }

    /// The request without the path of the external URL. Clients in the cluster send the paths of answers to the broker
    /// itself, and a proxy may pass the prefix on.
    pub fn removed<B>(&self, mut request: Request<B>) -> Request<B> {
        let Some(external) = &self.external else { return request };
        let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
        let rest = path.strip_prefix(&**external).filter(|rest| rest.starts_with('/'));
        if let Some(rest) = rest.and_then(|rest| rest.parse::<PathAndQuery>().ok()) {
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = Some(rest);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
        request
    }
}

/// Puts the prefix before the paths in an answer's headers.
pub fn prepend<B>(prefix: &str, response: &mut Response<B>) {
    for (name, before) in [(LOCATION, ""), (LINK, "<")] {
        let Some(value) = response.headers_mut().get_mut(name) else { continue };
        let path = value.to_str().ok().and_then(|value| value.strip_prefix(before));
        let Some(path) = path.filter(|path| path.starts_with('/')) else { continue };
        if let Ok(prefixed) = HeaderValue::try_from(format!("{before}{prefix}{path}")) {
            *value = prefixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn prefix(url: &str) -> Prefix {
        Prefix::new(Some(&url.parse().unwrap()), TrustedProxies::default())
    }

    fn request(uri: &str) -> Request<()> {
        Request::builder().uri(uri).body(()).unwrap()
    }

    #[test]
    fn the_path_of_the_external_url_is_the_prefix() {
        for (url, path) in [
            ("https://mq.example.com", None),
            ("https://mq.example.com/", None),
            ("https://example.com/mq", Some("/mq")),
            ("http://example.com:8080/shared/mq/", Some("/shared/mq")),
        ] {
            assert_eq!(prefix(url).of(PROXY, &HeaderMap::new()).as_deref(), path, "{url}");
        }
    }

    #[test]
    fn an_invalid_external_url_is_refused_with_the_reason() {
        for (bad, why) in [
            ("", "leave the flag out"),
            ("mq.example.com", "http://"),
            ("mq.example.com:8080", "http://"),
            ("/mq", "http://"),
            ("ftp://example.com/mq", "http://"),
            ("https://", "not a URL"),
            ("https:///mq", "not a URL"),
            ("https://example.com/mq?x=1", "a query"),
            ("https://example.com/mq#a", "a fragment"),
            ("https://user:word@example.com", "a user name"),
            ("https://example.com:0/", "a port"),
            ("https://example.com:65536", "a port"),
            ("https://example.com:", "a port"),
            ("https://example.com/a//b", "a segment"),
            ("https://example.com/mq//", "a segment"),
            ("https://example.com/a/../b", "a segment"),
            ("https://example.com/a%20b", "a segment"),
        ] {
            let error = bad.parse::<ExternalUrl>().unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn without_an_external_url_a_trusted_proxy_sets_the_prefix() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-prefix", HeaderValue::from_static("/by-proxy"));
        let by_proxy = Prefix::new(None, proxies.clone());
        assert_eq!(
            by_proxy.of(Ipv4Addr::LOCALHOST.into(), &headers),
            None,
            "the peer is not a trusted proxy"
        );
        assert_eq!(by_proxy.of(PROXY, &headers).as_deref(), Some("/by-proxy"));
        let external = "https://example.com/mq".parse().unwrap();
        assert_eq!(Prefix::new(Some(&external), proxies).of(PROXY, &headers).as_deref(), Some("/mq"));
    }

    #[test]
    fn the_prefix_is_removed_from_the_path_of_a_request() {
        let mq = prefix("https://example.com/mq");
        for (requested, served) in [
            ("/mq/v1/leases/abc?x=1", "/v1/leases/abc?x=1"),
            ("/v1/leases/abc", "/v1/leases/abc"),
            ("/mqx/v1", "/mqx/v1"),
            ("/mq", "/mq"),
            ("http://h:1/mq/livez", "http://h:1/livez"),
        ] {
            assert_eq!(mq.removed(request(requested)).uri().to_string(), served, "{requested}");
        }
    }

    #[test]
    fn location_and_link_begin_with_the_prefix() {
        let mut response = Response::new(());
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/v1/leases/abc"));
        response.headers_mut().insert(LINK, HeaderValue::from_static("</errors/busy>; rel=\"help\""));
        prepend("/mq", &mut response);
        assert_eq!(response.headers()[LOCATION], "/mq/v1/leases/abc");
        assert_eq!(response.headers()[LINK], "</mq/errors/busy>; rel=\"help\"");
    }
}
