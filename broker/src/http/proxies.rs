//! Trusted proxies, whose headers tell the address of the client and the path prefix.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The maximum length of a proxy's path prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 256;

/// The networks of the trusted proxies.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Whether no proxy is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a proxy with this address is trusted. An IPv4-mapped IPv6 address, which sockets for both versions
    /// report, counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client: for a trusted proxy, the rightmost entry of `X-Forwarded-For` that is not itself a
    /// trusted proxy. Everything to the left of it comes from the client and cannot be trusted.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
        // A line that is not text stops the search, like an entry that is not an address.
        let mut entries = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')).map(str::trim);
        while self.contains(client)
            && let Some(address) = entries.find(|entry| !entry.is_empty()).and_then(address)
        {
            client = address;
        }
        client
    }

    /// The path prefix that a trusted proxy sends, if the header is there once and valid. It begins with a slash and
    /// does not end with one.
    pub fn prefix(&self, peer: IpAddr, headers: &HeaderMap) -> Option<String> {
        if !self.contains(peer) {
            return None;
        }
        let mut lines = headers.get_all(&X_FORWARDED_PREFIX).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let prefix = line.to_str().ok()?;
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        (prefix.len() <= PREFIX_BYTES_MAX && is_path(prefix)).then(|| prefix.to_owned())
    }
}

/// Parses an address as proxies write it: with or without a port, and IPv6 with or without brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let bracketed = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address =
        entry.parse().ok().or_else(|| entry.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    address.or_else(|| bracketed?.parse().ok()).map(|address: IpAddr| address.to_canonical())
}

/// Whether a text is a path of segments that need no percent-encoding (RFC 3986 section 2.3) and are not empty, `.` or
/// `..`.
pub(super) fn is_path(text: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_segment =
        |segment: &str| !["", ".", ".."].contains(&segment) && segment.bytes().all(is_unreserved);
    text.strip_prefix('/').is_some_and(|segments| segments.split('/').all(is_segment))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec())
    }

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    fn client(peer: &str, lines: &[&str]) -> String {
        let headers = headers("x-forwarded-for", lines);
        proxies().client_address(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_forwarded_address_of_an_untrusted_peer_is_ignored() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        let nobody = TrustedProxies::default();
        let headers_sent = headers("x-forwarded-for", &["198.51.100.1"]);
        assert_eq!(nobody.client_address("10.0.0.1".parse().unwrap(), &headers_sent).to_string(), "10.0.0.1");
    }

    #[test]
    fn behind_trusted_proxies_the_rightmost_untrusted_address_is_the_client() {
        for (lines, expected) in [
            (&["198.51.100.1"][..], "198.51.100.1"),
            // Entries that a client invents are to the left of the entry of the first proxy.
            (&["1.1.1.1, 198.51.100.1, 10.2.3.4"], "198.51.100.1"),
            (&["1.1.1.1", "198.51.100.1,10.2.3.4", "10.2.3.5"], "198.51.100.1"),
            (&["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
            (&["198.51.100.1, ,"], "198.51.100.1"),
            (&[], "10.0.0.1"),
            (&[""], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_address_may_have_brackets_and_a_port() {
        for (entry, expected) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(client("fd00::1", &[entry]), expected, "{entry}");
        }
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn an_invalid_forwarded_entry_makes_the_last_trusted_hop_the_client() {
        for entry in
            ["unknown", "_hidden", "198.51.100", "[2001:db8::1", "fe80::1%eth0", "198.51.100.1 x", "\u{ff}"]
        {
            assert_eq!(client("10.0.0.1", &["198.51.100.1", entry, "10.2.3.4"]), "10.2.3.4", "{entry}");
        }
    }

    #[test]
    fn a_prefix_is_accepted_only_from_a_trusted_proxy_and_only_if_valid() {
        let prefix = |peer: &str, lines: &[&str]| {
            proxies().prefix(peer.parse().unwrap(), &headers("x-forwarded-prefix", lines))
        };
        assert_eq!(prefix("10.0.0.1", &["/mq"]).as_deref(), Some("/mq"));
        assert_eq!(prefix("10.0.0.1", &["/shared/m-q_1.0~/"]).as_deref(), Some("/shared/m-q_1.0~"));
        assert_eq!(prefix("203.0.113.9", &["/mq"]), None);
        let long = format!("/{}", "x".repeat(PREFIX_BYTES_MAX));
        for bad in [
            "",
            "/",
            "mq",
            "//evil.example",
            "/mq//x",
            "/..",
            "/a/../b",
            "/a/.",
            "/a?b",
            "/a#b",
            "/a%2fb",
            "/a b",
            "/a, /b",
            "https://evil.example",
            "/a\\b",
            long.as_str(),
        ] {
            assert_eq!(prefix("10.0.0.1", &[bad]), None, "{bad}");
        }
        assert_eq!(prefix("10.0.0.1", &["/a", "/b"]), None);
        assert_eq!(prefix("10.0.0.1", &[]), None);
    }
}
