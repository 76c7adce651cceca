//! Reading a batch of items. An error in one item does not affect the others.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BATCH_ITEMS_MAX, Item};
use crate::json::{self, Fault};

/// The items of a batch, each either valid or with its error.
pub type ReadBatch = Vec<Result<Item, Fault>>;

/// A batch whose items are not parsed yet: they are parsed one by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBatch<'a> {
    #[serde(borrow, deserialize_with = "json::at_most::<BATCH_ITEMS_MAX, _, _>")]
    messages: Vec<&'a RawValue>,
}

/// Reads the body of `POST /v1/batches/{address}`. Fails as a whole if the body is not JSON, has other fields than
/// `messages`, or has more than [`BATCH_ITEMS_MAX`] items, where reading stops.
pub fn read_batch(bytes: &[u8]) -> Result<ReadBatch, Fault> {
    let RawBatch { messages } = json::read(bytes)?;
    let items = messages.iter().enumerate().map(|(index, item)| {
        json::read(item.get().as_bytes()).map_err(|fault| fault.within(&format!("messages[{index}]")))
    });
    Ok(items.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_item_is_reported_and_the_others_are_read() {
        let batch =
            br#"{"messages": [{"body": "important"}, {"content": "a"}, 5, {"content": "b", "key": "k"}]}"#;
        let read: Vec<_> = read_batch(batch).unwrap();
        let expected: Vec<_> = read.iter().map(|item| item.as_ref().map_err(ToString::to_string)).collect();
        assert!(expected[0].as_ref().unwrap_err().starts_with("messages[0].body is an unknown field"));
        assert_eq!(expected[1].as_ref().unwrap().content.0, b"a");
        assert_eq!(expected[2].as_ref().unwrap_err(), "messages[2] must be an object, not the number 5");
        assert!(
            expected[3]
                .as_ref()
                .unwrap_err()
                .starts_with("messages[3].key is an unknown field (did you mean")
        );
    }

    #[test]
    fn an_invalid_batch_is_refused_as_a_whole() {
        for (bad, expected) in [
            ("[]", "the JSON must be an object, not an array"),
            ("{}", "messages is missing"),
            (r#"{"items": []}"#, "items is an unknown field; known fields: messages"),
            (r#"{"message": []}"#, "message is an unknown field (did you mean messages?)"),
            (r#"{"messages": [], "messages": []}"#, "messages is given more than once"),
            (r#"{"messages": {}}"#, "messages must be an array, not an object"),
        ] {
            assert_eq!(read_batch(bad.as_bytes()).unwrap_err().to_string(), expected, "{bad}");
        }
        let malformed = read_batch(br#"{"messages": [{"content": "a"}, {]}"#).unwrap_err().to_string();
        assert!(malformed.contains("has invalid syntax"), "{malformed}");
    }

    #[test]
    fn a_batch_is_not_read_beyond_the_limit_of_items() {
        let items = |count| vec![r#"{"content": ""}"#; count].join(",");
        let whole = read_batch(format!("{{\"messages\": [{}]}}", items(BATCH_ITEMS_MAX)).as_bytes()).unwrap();
        assert!(whole.len() == BATCH_ITEMS_MAX && whole.iter().all(Result::is_ok));
        let text = format!("{{\"messages\": [{}, and this is not JSON", items(BATCH_ITEMS_MAX + 1));
        assert!(read_batch(text.as_bytes()).unwrap_err().is_too_many);
    }
}
