//! Parsing query parameters. An unknown or repeated parameter is an error.

use percent_encoding::percent_decode_str;
use restante_wire::{ProblemType, near::did_you_mean};

use super::HttpError;

/// A query whose parameters are known and given once.
#[derive(Debug)]
pub struct Query<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Query<'a> {
    /// Parses a query. A parameter that is not in `known` is an error, because it would have no effect.
    pub fn parse(query: Option<&'a str>, known: &[&str]) -> Result<Self, HttpError> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(unknown(name, known));
            }
            if pairs.iter().any(|(before, _)| *before == name) {
                return Err(malformed(name, value, "is given more than once; give it once"));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter in whole seconds, at least `min`.
    pub fn seconds(&self, name: &str, min: u32) -> Result<Option<u32>, HttpError> {
        let Some(value) = self.word(name) else { return Ok(None) };
        seconds(value)
            .filter(|seconds| *seconds >= min)
            .map(Some)
            .ok_or_else(|| malformed(name, value, &format!("must be whole seconds, at least {min}")))
    }
}

impl Query<'_> {
    /// The value of a parameter that is a whole number from `min` to `max`. A value outside is an error.
    pub fn number(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, HttpError> {
        let Some(value) = self.word(name) else { return Ok(None) };
        seconds(value)
            .filter(|number| (min..=max).contains(number))
            .map(Some)
            .ok_or_else(|| malformed(name, value, &format!("must be a whole number from {min} to {max}")))
    }

    /// The raw value of a parameter.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The value of a parameter that is true or false; default false.
    pub fn flag(&self, name: &str) -> Result<bool, HttpError> {
        match self.word(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(malformed(name, value, "must be true or false")),
        }
    }

    /// The value of a text parameter, decoded: `+` for spaces and percent-encoding (form encoding of the URL standard).
    pub fn text(&self, name: &str) -> Result<Option<String>, HttpError> {
        let Some(value) = self.word(name) else { return Ok(None) };
        let spaced = value.replace('+', " ");
        let text = percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned());
        text.map(Some).map_err(|_| malformed(name, value, "must be UTF-8, percent-encoded"))
    }
}

/// Parses whole seconds in decimal digits, without sign and fraction. A number beyond 32 bits becomes `u32::MAX`.
pub fn seconds(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}

fn unknown(name: &str, known: &[&str]) -> HttpError {
    let takes = match known {
        [] => "this request takes none".to_owned(),
        known => format!("this request takes {}", known.join(", ")),
    };
    let hint = did_you_mean(name, known.iter().copied());
    let detail = format!("the parameter {name:?} is unknown{hint}; {takes}");
    HttpError::new(ProblemType::ParameterUnknown, detail)
}

fn malformed(name: &str, value: &str, reason: &str) -> HttpError {
    HttpError::new(ProblemType::ParameterMalformed, format!("the parameter {name}={value} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(query: &str) -> Result<Option<u32>, ProblemType> {
        Query::parse(Some(query), &["wait", "lease"])
            .and_then(|query| query.seconds("wait", 0))
            .map_err(|error| error.kind())
    }

    #[test]
    fn a_number_of_seconds_is_digits_and_nothing_else() {
        assert_eq!(wait("wait=20&lease=3"), Ok(Some(20)));
        assert_eq!(wait("lease=3"), Ok(None));
        assert_eq!(wait("wait=99999999999"), Ok(Some(u32::MAX)));
        for bad in
            ["wait=-1", "wait=+1", "wait=1.5", "wait=ten", "wait=", "wait", "wait=1%30", "wait=1&wait=2"]
        {
            assert_eq!(wait(bad), Err(ProblemType::ParameterMalformed), "{bad}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused() {
        assert_eq!(wait("wait=1&delay=5"), Err(ProblemType::ParameterUnknown));
        assert_eq!(Query::parse(Some("a=1"), &[]).unwrap_err().kind(), ProblemType::ParameterUnknown);
    }

    #[test]
    fn a_number_out_of_bounds_is_refused_and_not_clamped() {
        let number =
            |query| Query::parse(Some(query), &["max"]).and_then(|query| query.number("max", 1, 100));
        assert_eq!(number("max=100").unwrap(), Some(100));
        for bad in ["max=0", "max=101", "max=ten", "max="] {
            assert_eq!(number(bad).unwrap_err().kind(), ProblemType::ParameterMalformed, "{bad}");
        }
    }

    #[test]
    fn a_text_is_decoded_and_a_flag_is_true_or_false() {
        let query =
            Query::parse(Some("reason=no+such%20part%21&uncounted=true"), &["reason", "uncounted"]).unwrap();
        assert_eq!(query.text("reason").unwrap().as_deref(), Some("no such part!"));
        assert!(query.flag("uncounted").unwrap() && !query.flag("other").unwrap());
        let bad = Query::parse(Some("reason=%ff&uncounted=1"), &["reason", "uncounted"]).unwrap();
        assert!(bad.text("reason").is_err() && bad.flag("uncounted").is_err());
    }

    #[test]
    fn a_lease_of_0_seconds_is_refused() {
        let query = Query::parse(Some("lease=0"), &["lease"]).unwrap();
        assert_eq!(query.seconds("lease", 1).unwrap_err().kind(), ProblemType::ParameterMalformed);
    }
}
