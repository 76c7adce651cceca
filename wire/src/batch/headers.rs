//! Reading the kept headers of an item: an object whose names must be unique.

use std::{collections::btree_map::Entry, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use super::{
    BATCH_ITEMS_MAX,
    item::{HeaderValues, Headers},
};

/// The limit of names and of values that are read, far more than a message may keep. Reading stops there, because it
/// takes memory.
const READ_MAX: usize = BATCH_ITEMS_MAX;

/// Reads the headers of an item. A repeated name is an error; a map would silently replace the first value.
pub(super) fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
    struct ByName;

    impl<'de> Visitor<'de> for ByName {
        type Value = Headers;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
            let mut headers = Headers::new();
            while let Some(name) = map.next_key::<String>()? {
                if headers.len() == READ_MAX {
                    return Err(A::Error::custom(format_args!("more headers than the limit of {READ_MAX}")));
                }
                match headers.entry(name) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(map.next_value()?);
                    }
                    // The text of serde's `duplicate_field`, which accepts only static names.
                    Entry::Occupied(known) => {
                        return Err(A::Error::custom(format_args!("duplicate field `{}`", known.key())));
                    }
                }
            }
            Ok(headers)
        }
    }

    deserializer.deserialize_map(ByName)
}

impl<'de> Deserialize<'de> for HeaderValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = HeaderValues;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or an array of strings")
            }

            fn visit_str<E>(self, value: &str) -> Result<HeaderValues, E> {
                Ok(HeaderValues::One(value.into()))
            }

            fn visit_string<E>(self, value: String) -> Result<HeaderValues, E> {
                Ok(HeaderValues::One(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<HeaderValues, A::Error> {
                crate::json::at_most::<READ_MAX, _, _>(SeqAccessDeserializer::new(values))
                    .map(HeaderValues::Many)
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}
