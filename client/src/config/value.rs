//! Parsers of argument values.

use std::time::Duration;

/// Seconds, with or without a fraction, above zero.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let error = || "must be a number of seconds above 0, like 60 or 0.5".to_owned();
    let seconds: f64 = text.parse().map_err(|_| error())?;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero()).ok_or_else(error)
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or("must be a name, a colon and a value, like 'Meta-Colour: red'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A channel, as namespace/name. Each segment may have the characters of a Kubernetes name (RFC 1123 subdomain), so
/// that no name can change the URL path it becomes part of.
pub(super) fn channel(text: &str) -> Result<(String, String), String> {
    let fits = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        !part.is_empty() && part.bytes().all(allowed) && !part.starts_with('.')
    };
    match text.split_once('/') {
        Some((namespace, name)) if fits(namespace) && fits(name) => Ok((namespace.into(), name.into())),
        _ => Err("must be namespace/name, like demo/orders".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_positive_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "soon", "NaN", "inf", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_channel_has_two_segments_that_cannot_leave_their_path() {
        assert_eq!(channel("demo/orders"), Ok(("demo".into(), "orders".into())));
        for bad in ["demo", "demo/", "/orders", "demo/a/b", "demo/..", "demo/a?b", "Demo/a"] {
            assert!(channel(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        assert_eq!(header("Meta-a: b: c"), Ok(("Meta-a".into(), "b: c".into())));
        assert!(header("Meta-a").is_err());
    }
}
