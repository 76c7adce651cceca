//! Checks the framing and the host of a request first. A request that two readers could understand differently is
//! refused, because that enables request smuggling.
//!
//! hyper refuses contradictory lengths, and a body whose last transfer coding is not `chunked`. If a request has both
//! `Transfer-Encoding` and `Content-Length`, hyper removes the length, reads the chunks and closes the connection after
//! the answer, as RFC 9112 section 6.1 requires. Nothing shows that there was a length: neither the headers nor hyper's
//! other data about the head. Parsing each head a second time would create two readers of our own, so such requests are
//! accepted.

use http::{
    HeaderMap, HeaderValue, Request, Version,
    header::{HOST, TRANSFER_ENCODING},
    uri::{Authority, Scheme},
};
use restante_wire::ProblemType;

use super::HttpError;

/// Refuses a request whose body or host is ambiguous.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), HttpError> {
    check_codings(request.headers())?;
    let host = host(request.headers())?;
    let (version, uri) = (request.version(), request.uri());
    match (host, uri.authority()) {
        (None, None) if version >= Version::HTTP_2 => {
            Err(malformed("the pseudo-header :authority is missing; send it"))
        }
        // In HTTP/2 the name is in `:authority`, and Host is optional.
        (None, _) if version == Version::HTTP_11 => {
            Err(malformed("the header Host is missing (RFC 9112 section 3.2); send it once"))
        }
        (Some(host), Some(target)) if !is_same(host, target, uri.scheme()) => Err(malformed(&format!(
            "the header Host is {host:?}, but the request's target is {:?}; send the same in both",
            target.as_str()
        ))),
        _ => Ok(()),
    }
}

/// Accepts only the transfer coding `chunked`, once (RFC 9112 section 6.1). Content in another coding would be stored
/// coded.
pub(crate) fn check_codings(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut chunked = 0;
    for value in headers.get_all(TRANSFER_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match coding {
                b"" => {}
                coding if coding.eq_ignore_ascii_case(b"chunked") => chunked += 1,
                coding => {
                    let detail = format!(
                        "the transfer coding {:?} is not supported; send the body plain or chunked, and name a \
                         compression of the body in Content-Encoding",
                        String::from_utf8_lossy(coding)
                    );
                    return Err(HttpError::new(ProblemType::TransferCodingUnsupported, detail));
                }
            }
        }
    }
    if chunked > 1 {
        return Err(malformed("the header Transfer-Encoding names chunked more than once; send it once"));
    }
    Ok(())
}

/// The value of `Host`, which must be there at most once and be a host with an optional port.
fn host(headers: &HeaderMap) -> Result<Option<&str>, HttpError> {
    let mut values = headers.get_all(HOST).iter();
    let host = values.next();
    if values.next().is_some() {
        return Err(malformed("the header Host is given more than once; send it once"));
    }
    host.map(read).transpose()
}

fn read(value: &HeaderValue) -> Result<&str, HttpError> {
    let text = value.to_str().map_err(|_| malformed("the header Host is not visible ASCII"))?;
    let port = match text.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets (RFC 3986 section 3.2.2).
        Some((_, port)) if !port.ends_with(']') => port,
        _ => "",
    };
    let is_port =
        port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok());
    // A user name in Host is an attempt to disguise the host: http://localhost@example.com.
    if !is_port || text.contains(['@', '/', '?', '#', '\\', ',']) {
        return Err(malformed(&format!(
            "the header Host is invalid: {text:?}; send a host name or address, with or without a port"
        )));
    }
    Ok(text)
}

/// Whether Host and target are the same; the default port is optional.
fn is_same(host: &str, target: &Authority, scheme: Option<&Scheme>) -> bool {
    let default = if scheme == Some(&Scheme::HTTPS) { ":443" } else { ":80" };
    let without = |text: &str| text.strip_suffix(default).unwrap_or(text).to_ascii_lowercase();
    without(host) == without(target.as_str())
}

fn malformed(detail: &str) -> HttpError {
    HttpError::new(ProblemType::HeaderMalformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(uri: &str, headers: &[(&'static str, &str)]) -> Result<(), ProblemType> {
        let request = Request::builder().uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap()).map_err(|error| error.kind())
    }

    #[test]
    fn a_request_has_one_host_with_a_numeric_port() {
        for host in
            ["localhost", "localhost:8080", "localhost:", "127.0.0.1:1", "[::1]", "[::1]:8080", "a_b.example"]
        {
            assert_eq!(checked("/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["localhost:evil", "localhost:99999", "localhost:-1", "u@localhost", "a/b", "a, b"] {
            assert_eq!(checked("/", &[("host", host)]), Err(ProblemType::HeaderMalformed), "{host}");
        }
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(checked("/", &twice), Err(ProblemType::HeaderMalformed));
        assert_eq!(checked("/", &[]), Err(ProblemType::HeaderMalformed));
    }

    #[test]
    fn an_absolute_target_must_name_the_host_of_the_header() {
        for (uri, host) in [
            ("http://localhost:8080/v1", "LocalHost:8080"),
            ("http://localhost/v1", "localhost:80"),
            ("https://localhost:443/v1", "localhost"),
        ] {
            assert_eq!(checked(uri, &[("host", host)]), Ok(()), "{uri} {host}");
        }
        for (uri, host) in [("http://evil.example/v1", "localhost"), ("http://localhost:1/v1", "localhost:2")]
        {
            assert_eq!(checked(uri, &[("host", host)]), Err(ProblemType::HeaderMalformed), "{uri} {host}");
        }
        assert_eq!(
            checked("http://localhost/v1", &[]),
            Err(ProblemType::HeaderMalformed),
            "HTTP/1.1 without Host"
        );
        let h2 = Request::builder().uri("http://localhost/v1").version(Version::HTTP_2).body(()).unwrap();
        assert!(check(&h2).is_ok());
    }

    #[test]
    fn chunked_is_the_only_transfer_coding_and_is_given_once() {
        let coded = |values: &[&str]| {
            let headers = values.iter().map(|value| ("transfer-encoding", *value));
            checked("/", &[("host", "localhost")].into_iter().chain(headers).collect::<Vec<_>>())
        };
        assert_eq!(coded(&["chunked"]), Ok(()));
        assert_eq!(coded(&["Chunked,"]), Ok(()));
        for codings in
            [&["gzip, chunked"][..], &["gzip", "chunked"], &["identity, chunked"], &["x;q=1, chunked"]]
        {
            assert_eq!(coded(codings), Err(ProblemType::TransferCodingUnsupported), "{codings:?}");
        }
        for codings in [&["chunked, chunked"][..], &["chunked", "chunked"]] {
            assert_eq!(coded(codings), Err(ProblemType::HeaderMalformed), "{codings:?}");
        }
    }
}
