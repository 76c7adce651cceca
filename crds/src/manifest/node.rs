//! YAML values with their positions in the file.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::ManifestError;

/// A YAML value and its location: line and column, from 1.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) location: (u64, u64),
    content: Content,
}

#[derive(Debug)]
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    /// Key, location of the key, and value.
    Map(Vec<(String, (u64, u64), Node)>),
}

impl Node {
    /// The value without locations.
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(list) => Value::Array(list.iter().map(Self::value).collect()),
            Content::Map(entries) => {
                let map: Map<_, _> =
                    entries.iter().map(|(key, _, node)| (key.clone(), node.value())).collect();
                Value::Object(map)
            }
        }
    }

    /// An error about the field at a path of keys and indices, located at the field. If the field is absent, the error
    /// is located at the innermost existing parent.
    pub(super) fn error(&self, path: &[&str], message: String) -> ManifestError {
        let (line, column) = self.locate(path);
        ManifestError { line, column, field: dotted(path), message }
    }

    fn locate(&self, path: &[&str]) -> (u64, u64) {
        let Some((first, rest)) = path.split_first() else {
            return self.location;
        };
        match &self.content {
            Content::Map(entries) => match entries.iter().find(|(key, ..)| key == first) {
                // The location of the key, because the value of a map begins on the next line.
                Some((_, location, _)) if rest.is_empty() => *location,
                Some((_, _, node)) => node.locate(rest),
                None => self.location,
            },
            Content::List(list) => match first.parse().ok().and_then(|index: usize| list.get(index)) {
                Some(node) => node.locate(rest),
                None => self.location,
            },
            Content::Scalar(_) => self.location,
        }
    }
}

/// A path in the usual notation: `spec.destinations[0]`.
fn dotted(path: &[&str]) -> String {
    path.iter().fold(String::new(), |mut text, segment| {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{segment}]"));
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(segment);
        }
        text
    })
}

fn location<T>(spanned: &Spanned<T>) -> (u64, u64) {
    (spanned.referenced.line(), spanned.referenced.column())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { location: location(&spanned), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = access.next_element()? {
            list.push(node);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = access.next_entry::<Spanned<String>, Node>()? {
            let at = location(&key);
            entries.push((key.value, at, node));
        }
        Ok(Content::Map(entries))
    }
}
