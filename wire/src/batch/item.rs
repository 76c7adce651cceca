//! One message of a batch.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _};

use crate::DeadLetterCause;

/// Kept headers by name, without those that have a field of their own.
pub type Headers = BTreeMap<String, HeaderValues>;

/// The values of one header: nearly always one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// A message on its way into a channel. It is read by `Item::try_from(WrittenItem)`: all of its fields must be known, and one
/// of them is its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenItem")]
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
    #[serde(
        default,
        deserialize_with = "super::headers::each_once",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
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
    /// `Message-Id`. Absent only from a look at a dead letter that cannot be read, where nothing tells it.
    #[cfg_attr(feature = "schema", schema(format = Uuid))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
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
    /// Peek, `state=dead`: where the message lies, and why it cannot be read. The content that is told is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
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

/// The two ways to write a content. A message on its way out always has one of them.
#[derive(Deserialize)]
struct WrittenContent {
    content: Option<String>,
    content64: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenContent { content, content64 } = WrittenContent::deserialize(deserializer)?;
        content_of(content, content64).map_err(D::Error::custom)
    }
}

/// An item as it is written: one object. serde cannot refuse unknown fields where a struct is put together of two.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenItem {
    content: Option<String>,
    content64: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    idempotency_key: Option<String>,
    group: Option<String>,
    #[serde(default, deserialize_with = "super::whole::seconds")]
    delay_seconds: Option<u32>,
    #[serde(default, deserialize_with = "super::whole::seconds")]
    ttl_seconds: Option<u32>,
    #[serde(default, deserialize_with = "super::headers::each_once")]
    headers: Headers,
}

impl TryFrom<WrittenItem> for Item {
    type Error = String;

    fn try_from(written: WrittenItem) -> Result<Self, String> {
        let WrittenItem {
            content,
            content64,
            content_type,
            content_encoding,
            idempotency_key,
            group,
            delay_seconds,
            ttl_seconds,
            headers,
        } = written;
        let head = ItemHead {
            content_type,
            content_encoding,
            idempotency_key,
            group,
            delay_seconds,
            ttl_seconds,
            headers,
        };
        Ok(Self { content: content_of(content, content64)?, head })
    }
}

fn content_of(content: Option<String>, content64: Option<String>) -> Result<Content, String> {
    match (content, content64) {
        (Some(text), None) => Ok(Content(text.into_bytes())),
        (None, Some(text)) => STANDARD.decode(text).map(Content).map_err(|error| {
            format!("content64 is not base64 ({error}); encode it by RFC 4648 section 4, with padding")
        }),
        (None, None) => Err("the content is missing; give content (text) or content64 (base64)".into()),
        (Some(_), Some(_)) => Err("content and content64 are both given; give one of them".into()),
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
            serde_json::from_str(r#"{"content": "", "headers": {"meta-a": "1", "meta-b": ["2", "3"]}}"#)
                .unwrap();
        let values: Vec<_> = item.head.headers.values().flat_map(HeaderValues::iter).collect();
        assert_eq!(values, ["1", "2", "3"]);
        assert_eq!(item.content, Content::default());
    }

    #[test]
    fn an_item_without_a_content_with_two_or_with_an_unknown_field_is_refused() {
        for (bad, told) in [
            ("{}", "the content is missing"),
            (r#"{"content": null}"#, "the content is missing"),
            (r#"{"content": "a", "content64": "YQ=="}"#, "content and content64 are both given"),
            (r#"{"content64": "a"}"#, "content64 is not base64"),
            (r#"{"body": "important"}"#, "body is an unknown field; known are content, content64,"),
            (r#"{"content": "a", "delay": 60}"#, "delay is an unknown field (did you mean delaySeconds?)"),
            (r#"{"content": "a", "key": "k"}"#, "key is an unknown field (did you mean idempotencyKey?)"),
            (r#"{"content": "a", "content": "b"}"#, "content is given more than once"),
            (r#"{"content": 1}"#, "content must be a text, not the number 1"),
            (
                r#"{"content": "a", "delaySeconds": "5"}"#,
                "delaySeconds must be whole seconds from 0 to 4294967295, not a text",
            ),
            (r#"{"content": "a", "headers": []}"#, "headers must be an object, not a list"),
            (
                r#"{"content": "a", "headers": {"meta-a": 1}}"#,
                "headers.meta-a must be a text or a list of texts, not the number 1",
            ),
            (
                r#"{"content": "a", "headers": {"meta-a": [1]}}"#,
                "headers.meta-a[0] must be a text, not the number 1",
            ),
            (
                r#"{"content": "a", "headers": {"meta-a": "1", "meta-a": "2"}}"#,
                "headers.meta-a is given more than once",
            ),
            (r#"["a"]"#, "the JSON must be an object, not a list"),
        ] {
            let fault = crate::json::read::<Item>(bad.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(told), "{bad}: {fault}");
        }
    }

    #[test]
    fn the_head_of_a_frame_has_no_content_and_no_unknown_field() {
        for (bad, told) in [
            (r#"{"content": "a"}"#, "content is an unknown field"),
            (r#"{"ttl": 5}"#, "ttl is an unknown field (did you mean ttlSeconds?)"),
        ] {
            let fault = crate::json::read::<ItemHead>(bad.as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with(told), "{bad}: {fault}");
        }
    }
}
