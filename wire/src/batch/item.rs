//! One message of a batch.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _};

use crate::DeadLetterCause;

/// Kept headers by name, without those that have a field of their own.
pub type Headers = BTreeMap<String, HeaderValues>;

/// The values of one header: nearly always one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum HeaderValues {
    /// The header is there once.
    One(String),
    /// The header is there several times.
    Many(Vec<String>),
}

impl HeaderValues {
    /// The values.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(value) => std::slice::from_ref(value).iter(),
            Self::Many(values) => values.iter(),
        }
        .map(String::as_str)
    }
}

/// A message's content, byte for byte. In JSON it is `"content": "…"` when it is UTF-8, else `"content64": "…"` (RFC 4648
/// section 4, with padding).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

/// A message on its way into a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The content.
    #[serde(flatten)]
    pub content: Content,
    /// All else.
    #[serde(flatten)]
    pub head: ItemHead,
}

/// What is said of a message on its way into a channel: the headers of a push, as fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ItemHead {
    /// `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Idempotency-Key`.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 255, pattern = "^[!-~]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// `Message-Group`.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 128, pattern = "^[!-~]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Message-Delay`.
    #[cfg_attr(feature = "schema", schema(format = Int64, maximum = 4294967295.0))]
    #[serde(default, deserialize_with = "super::whole::seconds", skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u32>,
    /// `Message-TTL`.
    #[cfg_attr(feature = "schema", schema(format = Int64, maximum = 4294967295.0))]
    #[serde(default, deserialize_with = "super::whole::seconds", skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
    /// The other kept headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, HeaderValues>))]
    pub headers: Headers,
}

/// A message on its way out of a channel, or one that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredItem {
    /// The content.
    #[serde(flatten)]
    pub content: Content,
    /// All else.
    #[serde(flatten)]
    pub head: DeliveredHead,
}

impl std::ops::Deref for DeliveredItem {
    type Target = DeliveredHead;

    fn deref(&self) -> &DeliveredHead {
        &self.head
    }
}

/// What is said of a message on its way out of a channel: the headers of the answer to a pull, as fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeliveredHead {
    /// `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Message-Group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The other kept headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, HeaderValues>))]
    pub headers: Headers,
    /// `Message-Id`.
    #[cfg_attr(feature = "schema", schema(format = Uuid))]
    pub id: String,
    /// `Message-Enqueued-At`.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub enqueued_at: String,
    /// `Message-Deliveries`.
    pub deliveries: u32,
    /// When the message expires, RFC 3339.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The lease's token, when the message was leased by this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// `Lease-Duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
    /// `Lease-Expires-At`.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<String>,
    /// Peek, `state=delayed`: when the message is due, RFC 3339.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// Peek, `state=dead`: why and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetterNote>,
}

/// Why and since when a message is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterNote {
    /// Why.
    pub cause: DeadLetterCause,
    /// What the receiver said that rejected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when, RFC 3339.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub since: String,
    /// The channel that gave the message up, `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// `state=dead-letters`: the channel that the message lies in, `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_in: Option<String>,
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match std::str::from_utf8(&self.0) {
            Ok(text) => map.serialize_entry("content", text)?,
            Err(_) => map.serialize_entry("content64", &STANDARD.encode(&self.0))?,
        }
        map.end()
    }
}

/// The two ways to write a content.
#[derive(Deserialize)]
struct Written {
    content: Option<String>,
    content64: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written { content: Some(text), content64: None } => Ok(Self(text.into_bytes())),
            Written { content: None, content64: Some(text) } => {
                STANDARD.decode(text).map(Self).map_err(|error| {
                    D::Error::custom(format!("content64 is no base64 (RFC 4648 section 4): {error}"))
                })
            }
            Written { content: None, content64: None } => Ok(Self::default()),
            Written { .. } => Err(D::Error::custom("content and content64 exclude each other")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(item: &Item) -> (String, Item) {
        let text = serde_json::to_string(item).unwrap();
        let back = serde_json::from_str(&text).unwrap();
        (text, back)
    }

    #[test]
    fn text_is_written_as_text_and_bytes_as_base64() {
        let mut item = Item { content: Content(b"seven bolts".to_vec()), ..Item::default() };
        item.head.group = Some("g".into());
        let (text, back) = round(&item);
        assert_eq!(text, r#"{"content":"seven bolts","group":"g"}"#);
        assert_eq!(back, item);
        item.content = Content(vec![0xff, 0, 1]);
        let (text, back) = round(&item);
        assert_eq!(text, r#"{"content64":"/wAB","group":"g"}"#);
        assert_eq!(back, item);
    }

    #[test]
    fn a_header_may_be_there_several_times() {
        let item: Item =
            serde_json::from_str(r#"{"headers": {"meta-a": "1", "meta-b": ["2", "3"]}}"#).unwrap();
        let values: Vec<_> = item.head.headers.values().flat_map(HeaderValues::iter).collect();
        assert_eq!(values, ["1", "2", "3"]);
        assert_eq!(item.content, Content::default());
    }

    #[test]
    fn two_contents_and_a_content64_that_is_none_are_refused() {
        for bad in [r#"{"content": "a", "content64": "YQ=="}"#, r#"{"content64": "a"}"#, r#"{"content": 1}"#]
        {
            assert!(serde_json::from_str::<Item>(bad).is_err(), "{bad}");
        }
    }
}
