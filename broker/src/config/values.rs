//! Parses and checks the values of flags. A value that could never have an effect is rejected at the start.

use std::{net::IpAddr, num::NonZeroUsize, time::Duration};

use bytesize::ByteSize;
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::{http::ExternalUrl, log::disk::SEGMENT_BYTES_MAX, shard::SHARDS_MAX};

/// Longest time that a flag accepts. Sums of times must not overflow, and nobody needs more: longer is meant as
/// unlimited.
const SECONDS_MAX: u32 = 86_400;
/// Longest host name (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// Levels that `--log` accepts without a target.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// From one block of many messages to the reach of a 32-bit offset.
pub(super) fn segment_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    if (ByteSize::mib(1)..=ByteSize(SEGMENT_BYTES_MAX)).contains(&size) {
        Ok(size)
    } else {
        Err("must be 1MiB to 2GiB".into())
    }
}

/// A memory size; with none, nothing could be served.
pub(super) fn memory(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    if size.as_u64() > 0 { Ok(size) } else { Err("must be more than 0, such as 256MiB".into()) }
}

fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "is not a size; write a number and a unit, such as 64MiB".into())
}

pub(super) fn cores(text: &str) -> Result<NonZeroUsize, String> {
    let cores = text.parse().ok().filter(|cores: &NonZeroUsize| cores.get() <= SHARDS_MAX);
    cores.ok_or(format!("must be 1 to {SHARDS_MAX}"))
}

/// A maximum; with 0, nothing could be served.
pub(super) fn some(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "must be a whole number, at least 1".into())
}

/// Seconds, possibly with a fraction: 0.5 is half a second.
pub(super) fn moments(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "must be seconds, such as 30 or 0.5")?;
    if !(seconds > 0.0 && seconds <= f64::from(SECONDS_MAX)) {
        return Err(format!("must be more than 0 and at most {SECONDS_MAX}, a day"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds: &u32| *seconds <= SECONDS_MAX);
    seconds
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or_else(|| format!("must be whole seconds from 0 to {SECONDS_MAX}, a day"))
}

/// A host name to compare with `Host`: without scheme, port and path, which are not compared.
pub(super) fn host(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let is_name = (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
    if text == "*" || is_name || bare.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let advice = match text {
        "" => "leave the flag out, or list names",
        _ if text.contains("://") || text.contains('/') => "leave out the scheme and the path",
        _ if text.contains('*') => "* must stand alone, and accepts any name; otherwise list each name",
        _ if text.contains(':') => "leave out the port",
        _ => "use letters, digits, hyphens, underscores and dots",
    };
    Err(format!("is not a host name; {advice}"))
}

/// An origin in the form browsers send it (RFC 6454 section 6.2): the scheme's default port is left out.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if matches!(text, "*" | "null") {
        return Ok(text.to_owned());
    }
    let bad =
        |advice: &str| Err(format!("is not an origin; write it like https://app.example.com, {advice}"));
    let Some((scheme, rest)) = text.split_once("://") else {
        return bad("with its scheme");
    };
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return bad("with a scheme of letters");
    }
    if rest.contains(['/', '?', '#']) {
        return bad("without a path");
    }
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (rest, None),
    };
    if name == "*" || host(name).is_err() {
        return bad("with a whole host name");
    }
    match port {
        None => Ok(text.to_owned()),
        // Browsers leave out default ports.
        Some("80") if scheme.eq_ignore_ascii_case("http") => Ok(format!("{scheme}://{name}")),
        Some("443") if scheme.eq_ignore_ascii_case("https") => Ok(format!("{scheme}://{name}")),
        Some(port) if port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port) => {
            Ok(text.to_owned())
        }
        Some(_) => bad("with a port from 1 to 65535"),
    }
}

/// The URL of clients outside; its host must be one that they can resolve.
pub(super) fn external_url(text: &str) -> Result<ExternalUrl, String> {
    let url: ExternalUrl = text.parse()?;
    match url.host() {
        "*" => {
            Err("is invalid: * is not a host; leave the flag out, or write it like https://mq.example.com"
                .into())
        }
        name => host(name).map(|_| url.clone()).map_err(|why| format!("is invalid: its host {why}")),
    }
}

/// A network (RFC 4632 section 3.1), or a single address.
///
/// Bits beyond the prefix are rejected. The writer may mean one proxy or sixteen million, and the value decides whom
/// the broker trusts: the broker does not guess.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network: Option<IpNet> =
        text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| address.into()));
    let Some(network) = network else {
        let advice =
            if text.is_empty() { "leave the flag out, or list networks" } else { "write it like 10.0.0.0/8" };
        return Err(format!("is not a network; {advice}"));
    };
    if let IpAddr::V6(address) = network.addr()
        && let Some(address) = address.to_ipv4_mapped()
    {
        // Peers are compared by their IPv4 addresses.
        return Err(format!("is IPv4 in IPv6 and would never match; write it like {address}"));
    }
    if network.trunc() == network {
        return Ok(network);
    }
    Err(format!("has bits beyond its prefix; did you mean {} or {}?", network.trunc(), network.addr()))
}

/// A log filter: a level, or targets with their levels.
pub(super) fn log(text: &str) -> Result<String, String> {
    let bad = |directive: &str| {
        let hint = restante_wire::near::did_you_mean(directive, LEVELS);
        Err(format!(
            "{directive:?} is not a log level{hint}; give one of {}, or target=level",
            LEVELS.join(", ")
        ))
    };
    for directive in text.split(',').map(str::trim) {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        // A bare word that is not a level would be taken as a target; no target matches it, and nothing would be
        // logged.
        if !directive.contains('[') && !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return bad(directive);
        }
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_could_never_match_is_refused() {
        for good in ["*", "broker", "a.b-c.example.com", "under_score", "127.0.0.1", "[::1]", "::1"] {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        for (bad, advice) in [
            ("", "leave the flag out"),
            ("https://x", "the scheme"),
            ("x/y", "the path"),
            ("x:8080", "the port"),
            ("*.example.com", "list each name"),
            ("a b", "letters"),
        ] {
            assert!(host(bad).unwrap_err().contains(advice), "{bad}");
        }
    }

    #[test]
    fn an_origin_that_could_never_match_is_refused_and_one_with_its_own_port_matches() {
        for good in
            ["*", "null", "https://app.example.com", "http://localhost:3000", "http://[::1]:3000", "app://x"]
        {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        assert_eq!(origin("https://x:443").as_deref(), Ok("https://x"));
        assert_eq!(origin("http://x:80").as_deref(), Ok("http://x"));
        for bad in [
            "",
            "app.example.com",
            "https://",
            "https://x/",
            "https://x/y",
            "https://*.x",
            "https://*",
            "https://x:",
            "https://x:0",
            "https://x:65536",
            "://x",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_without_a_number_is_refused_in_plain_words() {
        assert_eq!(segment_size("64MiB"), Ok(ByteSize::mib(64)));
        for bad in ["x", "", "MiB"] {
            let expected = Err("is not a size; write a number and a unit, such as 64MiB".to_owned());
            assert_eq!((segment_size(bad), memory(bad)), (expected.clone(), expected), "{bad}");
        }
    }

    #[test]
    fn an_external_url_has_a_valid_host() {
        for good in ["https://mq.example.com", "http://10.0.0.1:8080/mq/", "https://[fd00::1]:8443"] {
            assert!(external_url(good).is_ok(), "{good}");
        }
        for bad in ["https://*", "https://a,b", "https://a!b", "https://[zz]/", "mq.example.com"] {
            assert!(external_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proxy_is_a_network_or_an_address_without_bits_beyond_its_prefix() {
        for (good, read) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(network(good).unwrap().to_string(), read);
        }
        for (bad, advice) in [
            ("", "leave the flag out"),
            ("10.0.0.0/33", "write it like"),
            ("10.0.0.0/", "write it like"),
            ("10.0.0/8", "write it like"),
            ("[::1]", "write it like"),
            ("fe80::1%eth0", "write it like"),
            ("proxy.example.com", "write it like"),
            ("10.0.0.7/8", "did you mean 10.0.0.0/8 or 10.0.0.7?"),
            ("fd00::1/8", "did you mean fd00::/8 or fd00::1?"),
            ("::ffff:10.0.0.0/104", "write it like 10.0.0.0"),
        ] {
            let error = network(bad).unwrap_err();
            assert!(error.contains(advice), "{bad}: {error}");
        }
    }

    #[test]
    fn a_log_directive_that_would_silence_the_log_is_refused() {
        for good in ["info", "WARN", "warn,restante_broker=debug", "restante_broker::http=trace", "off"] {
            assert_eq!(log(good).as_deref(), Ok(good));
        }
        assert!(log("debgu").unwrap_err().contains("did you mean debug?"));
        for bad in ["", "verbose", "hyper", "hyper=loud", "info,"] {
            assert!(log(bad).is_err(), "{bad}");
        }
    }
}
