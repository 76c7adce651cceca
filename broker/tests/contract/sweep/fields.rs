//! The fields that serde reads of a type, from serde itself.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
    forward_to_deserialize_any,
};

/// A deserializer that collects the fields of a struct and returns no value.
struct FieldCollector<'a>(&'a mut Vec<String>);

#[derive(Debug)]
struct FieldsCollected;

impl std::error::Error for FieldsCollected {}

impl fmt::Display for FieldsCollected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the fields are known")
    }
}

impl Error for FieldsCollected {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for FieldCollector<'_> {
    type Error = FieldsCollected;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsCollected> {
        Err(FieldsCollected)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, FieldsCollected> {
        self.0.extend(fields.iter().map(|field| (*field).to_owned()));
        Err(FieldsCollected)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map enum identifier ignored_any
    }
}

pub(super) fn of<'de, T: Deserialize<'de>>() -> Vec<String> {
    let mut fields = Vec::new();
    let _ = T::deserialize(FieldCollector(&mut fields));
    assert!(!fields.is_empty(), "serde reads no fields of it");
    fields
}
