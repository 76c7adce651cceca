//! Translates serde's errors into plain words. serde errors are only text, and that text names Rust types. Its forms
//! come from the provided methods of `serde::de::Error`; the tests below fail if one of them changes.

use serde_json::error::Category;

use super::{Fault, TOO_MANY};
use crate::near::did_you_mean;

/// serde's names of expected types, and the terms of JSON for them.
const EXPECTED: [(&str, &str); 13] = [
    ("string", "a string"),
    ("str", "a string"),
    ("a boolean", "true or false"),
    ("bool", "true or false"),
    ("a sequence", "an array"),
    ("a map", "an object"),
    ("map", "an object"),
    ("f64", "a number"),
    ("i64", "a whole number"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0"),
    ("a formatted UUID string", "a UUID"),
];

/// The error at a path of `serde_path_to_error`.
pub(super) fn fault(path: &str, error: &serde_json::Error) -> Fault {
    let path = if path == "." { "" } else { path };
    let text = error.to_string();
    if error.classify() != Category::Data {
        // The path ends with `?` where the name of the field was not read.
        let path = path.strip_suffix('?').map_or(path, |path| path.trim_end_matches('.'));
        return Fault::new(path, syntax(&text, error.classify() == Category::Eof));
    }
    // The path says where the error is. Line and column of a generated document help nobody.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if text == TOO_MANY {
        return Fault { is_too_many: true, ..Fault::new(path, TOO_MANY) };
    }
    for (form, reason) in [
        ("unknown field ", "is an unknown field"),
        ("missing field ", "is missing"),
        ("duplicate field ", "is given more than once"),
    ] {
        if let Some((name, rest)) = text.strip_prefix(form).and_then(quoted) {
            let parent = path.strip_suffix('?').or_else(|| path.strip_suffix(&*name)).unwrap_or(path);
            let whole = Fault::new(name.clone(), format!("{reason}{}", choices(&name, rest, "fields")));
            return match parent.trim_end_matches('.') {
                "" => whole,
                parent => whole.within(parent),
            };
        }
    }
    if text.starts_with("UUID parsing failed") {
        return Fault::new(path, "must be a UUID");
    }
    if let Some((name, rest)) = text.strip_prefix("unknown variant ").and_then(quoted) {
        return Fault::new(path, format!("has the unknown value {name:?}{}", choices(&name, rest, "values")));
    }
    let mismatch = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|form| text.strip_prefix(form)?.rsplit_once(", expected "));
    match mismatch {
        Some((found, wanted)) => {
            Fault::new(path, format!("must be {}, not {}", expected(wanted), unexpected(found)))
        }
        None => Fault::new(path, format!("is invalid: {text}")),
    }
}

/// An error of JSON's syntax. serde_json's text ends with ` at line 1 column 2`.
fn syntax(text: &str, is_end: bool) -> String {
    let (reason, place) = text.rsplit_once(" at line ").unwrap_or((text, ""));
    let place = place.replacen(" column ", ", column ", 1);
    match reason {
        _ if is_end => format!("ends early, at line {place}"),
        "expected value" => format!("has invalid syntax at line {place}: a value is expected"),
        "expected ident" => format!("has invalid syntax at line {place}: true, false or null is expected"),
        reason => format!("has invalid syntax at line {place}: {reason}"),
    }
}

/// The name between backticks at the start of the text, and the rest of the text.
fn quoted(text: &str) -> Option<(String, &str)> {
    // The name can contain backticks, but the text that serde puts after it has a fixed form.
    let inner = text.strip_prefix('`')?;
    let end =
        inner.find("`, expected ").or_else(|| inner.find("`, there are no")).or_else(|| inner.rfind('`'))?;
    Some((inner[..end].to_owned(), &inner[end + 1..]))
}

/// A hint at the known name that is most similar to `given`, or else all known names.
fn choices(given: &str, rest: &str, what: &str) -> String {
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    if known.is_empty() {
        return String::new();
    }
    match did_you_mean(given, known.iter().copied()) {
        hint if hint.is_empty() => format!("; known {what}: {}", known.join(", ")),
        hint => hint,
    }
}

fn expected(wanted: &str) -> &str {
    let plain = EXPECTED.iter().find(|(serde, _)| *serde == wanted).map(|(_, plain)| *plain);
    plain.unwrap_or(if wanted.starts_with("struct ") { "an object" } else { wanted })
}

/// The value that was found. Strings are not quoted: they may be long, and the path locates them.
fn unexpected(found: &str) -> String {
    match found.split_once(' ') {
        Some(("string", _)) => "a string".into(),
        Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
        Some(("boolean", value)) => value.trim_matches('`').into(),
        Some(("floating", number)) => {
            format!("the number {}", number.trim_start_matches("point ").trim_matches('`'))
        }
        _ => match found {
            "map" => "an object".into(),
            "sequence" => "an array".into(),
            other => other.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::read;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "the tests read invalid values only")]
    struct Outer {
        #[serde(default, deserialize_with = "super::super::objects::<9, _, _>")]
        items: Vec<Inner>,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "the tests read invalid values only")]
    struct Inner {
        lease: String,
        delay_seconds: Option<u32>,
        uncounted: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Ready,
        Dead,
    }

    #[test]
    fn each_fault_is_reported_with_its_path_and_without_terms_of_rust() {
        for (json, expected) in [
            ("[]", "the JSON must be an object, not an array"),
            ("5", "the JSON must be an object, not the number 5"),
            ("null", "the JSON must be an object, not null"),
            (r#"{"item": []}"#, "item is an unknown field (did you mean items?)"),
            (r#"{"items": {}}"#, "items must be an array, not an object"),
            (r#"{"items": [["lease", 5]]}"#, "items[0] must be an object, not an array"),
            (r#"{"items": [5]}"#, "items[0] must be an object, not the number 5"),
            (r#"{"items": [{"lease": "a"}, {}]}"#, "items[1].lease is missing"),
            (r#"{"items": [{"lease": {}}]}"#, "items[0].lease must be a string, not an object"),
            (r#"{"items": [{"lease": "a", "lease": "b"}]}"#, "items[0].lease is given more than once"),
            (
                r#"{"items": [{"lease": "a", "delay": 5}]}"#,
                "items[0].delay is an unknown field (did you mean delaySeconds?)",
            ),
            (
                r#"{"items": [{"lease": "a", "o`h": 5}]}"#,
                "items[0].o`h is an unknown field; known fields: lease, delaySeconds, uncounted",
            ),
            (
                r#"{"items": [{"lease": "a", "delaySeconds": "5, expected 6"}]}"#,
                "items[0].delaySeconds must be a whole number from 0 to 4294967295, not a string",
            ),
            (
                r#"{"items": [{"lease": "a", "delaySeconds": 5.5}]}"#,
                "items[0].delaySeconds must be a whole number from 0 to 4294967295, not the number 5.5",
            ),
            (
                r#"{"items": [{"lease": "a", "delaySeconds": -1}]}"#,
                "items[0].delaySeconds must be a whole number from 0 to 4294967295, not the number -1",
            ),
            (
                r#"{"items": [{"lease": "a", "uncounted": []}]}"#,
                "items[0].uncounted must be true or false, not an array",
            ),
            (r#"{"kind": "raedy"}"#, r#"kind has the unknown value "raedy" (did you mean ready?)"#),
        ] {
            assert_eq!(read::<Outer>(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
        }
    }

    #[test]
    fn an_error_of_the_syntax_is_reported_with_line_and_column() {
        for (bad, expected) in [
            ("", "the JSON ends early, at line 1, column 0"),
            ("{", "the JSON ends early, at line 1, column 1"),
            ("nonsense", "the JSON has invalid syntax at line 1, column 2: true, false or null is expected"),
            (r#"{"items": [{"lease": "#, "items[0].lease ends early, at line 1, column 21"),
            (r#"{"items": [}"#, "items[0] has invalid syntax at line 1, column 12: a value is expected"),
            (r#"{"items": []} x"#, "the JSON has invalid syntax at line 1, column 15: trailing characters"),
        ] {
            assert_eq!(read::<Outer>(bad.as_bytes()).unwrap_err().to_string(), expected, "{bad}");
        }
        for bad in ["{\"items\": \"\\ud800\"}", "\u{feff}\u{feff}{}"] {
            let fault = read::<Outer>(bad.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(" has invalid syntax at line 1, column "), "{bad}: {fault}");
        }
    }

    #[test]
    fn an_invalid_uuid_is_reported_without_the_text_of_a_library() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only the error is read")]
        struct Target {
            to: Option<uuid::Uuid>,
        }
        for bad in [r#"{"to": "acme/orders"}"#, r#"{"to": ""}"#] {
            assert_eq!(read::<Target>(bad.as_bytes()).unwrap_err().to_string(), "to must be a UUID", "{bad}");
        }
    }
}
