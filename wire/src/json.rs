//! Reading untrusted JSON with errors for people: the path of the field and JSON's own terms, such as
//! `release[2].delay must be whole seconds from 0 to 4294967295, not a string`.

mod plain;

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// The byte order mark, which some editors and languages write before UTF-8. Readers may ignore it (RFC 8259 section
/// 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The error text for an array that is too long. serde errors carry only text, so callers recognise the error
/// by this text.
const TOO_MANY: &str = "has too many items";

/// An error in JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {reason}", if path.is_empty() { "the JSON" } else { path })]
pub struct Fault {
    /// The path of the field, such as `release[2].delay`; empty for the whole document.
    pub path: String,
    /// What is wrong; the sentence continues after the path: "must be …".
    pub reason: String,
    /// Whether an array has more items than its limit; reading stopped there.
    pub is_too_many: bool,
}

impl Fault {
    /// An error in the field at `path`.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into(), is_too_many: false }
    }

    /// The same error with the path of the enclosing field in front.
    pub fn within(self, outer: &str) -> Self {
        let path = match self.path.as_str() {
            "" => outer.to_owned(),
            inner if inner.starts_with('[') => format!("{outer}{inner}"),
            inner => format!("{outer}.{inner}"),
        };
        Self { path, ..self }
    }
}

/// The bytes without a leading byte order mark.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Reads a JSON object in UTF-8, with or without a byte order mark.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Fault> {
    let bytes = without_mark(bytes);
    match serde_json::from_slice(bytes) {
        Ok(Object(read)) => Ok(read),
        // Parse again to find the path of the error, so that valid documents do not pay for it.
        Err(error) => {
            let mut again = serde_json::Deserializer::from_slice(bytes);
            Err(match serde_path_to_error::deserialize::<_, Object<T>>(&mut again) {
                Err(error) => plain::fault(&error.path().to_string(), error.inner()),
                Ok(_) => plain::fault(".", &error),
            })
        }
    }
}

/// A value that must be a JSON object. By default serde also accepts an array of a struct's fields in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfAMap<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfAMap<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(OfAMap(PhantomData)).map(Self)
    }
}

/// Reads an array of at most `MAX` objects.
pub(crate) fn objects<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let objects = at_most::<MAX, Object<T>, D>(deserializer)?;
    Ok(objects.into_iter().map(|Object(object)| object).collect())
}

/// Reads an array of at most `MAX` items. Reading stops at the next item, and nothing of it is stored.
pub(crate) fn at_most<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<const MAX: usize, T>(PhantomData<T>);

    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for List<MAX, T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while list.len() < MAX {
                let Some(item) = items.next_element()? else { return Ok(list) };
                list.push(item);
            }
            match items.next_element::<IgnoredAny>()? {
                None => Ok(list),
                Some(_) => Err(A::Error::custom(TOO_MANY)),
            }
        }
    }

    deserializer.deserialize_seq(List::<MAX, T>(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Lists {
        #[serde(deserialize_with = "at_most::<3, _, _>")]
        numbers: Vec<u8>,
    }

    #[test]
    fn a_list_is_read_up_to_its_limit_and_the_rest_of_the_text_is_not_parsed() {
        assert_eq!(read(b"{\"numbers\": [1, 2, 3]}"), Ok(Lists { numbers: vec![1, 2, 3] }));
        // Were it read on, this would be a malformed text.
        let fault = read::<Lists>(b"{\"numbers\": [1, 2, 3, 4, oh no").unwrap_err();
        assert!(fault.is_too_many, "{fault}");
        assert_eq!(fault.to_string(), "numbers has too many items");
    }

    #[test]
    fn a_byte_order_mark_is_skipped_only_at_the_start() {
        assert_eq!(read(b"\xef\xbb\xbf{\"numbers\": [1]}"), Ok(Lists { numbers: vec![1] }));
        assert!(read::<Lists>(b"{\xef\xbb\xbf\"numbers\": [1]}").is_err());
    }

    #[test]
    fn the_path_of_a_fault_begins_with_the_path_of_its_parent() {
        let within = |path: &str| Fault::new(path, "is missing").within("messages[3]").to_string();
        assert_eq!(within(""), "messages[3] is missing");
        assert_eq!(within("headers.meta-a"), "messages[3].headers.meta-a is missing");
        assert_eq!(within("[0]"), "messages[3][0] is missing");
    }
}
