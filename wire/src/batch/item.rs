//! One message of a batch.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _};

use crate::DeadLetterCause;

/// Kept headers by name, without headers that have a field of their own.
pub type Headers = BTreeMap<String, HeaderValues>;

/// The values of one header, nearly always one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum HeaderValues {
    /// The value of a header that is there once.
    One(String),
    /// The values of a header that is there several times, in their order.
    Many(Vec<String>),
}

impl HeaderValues {
    /// The values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(value) => std::slice::from_ref(value).iter(),
            Self::Many(values) => values.iter(),
        }
        .map(String::as_str)
    }
}

/// The body of a message, byte for byte. In JSON it is `"content": "…"` if it is UTF-8, else `"content64": "…"` (RFC
/// 4648 section 4, with padding).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

/// A message to send. It is read by `Item::try_from(WrittenItem)`, which rejects unknown fields and requires a content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenItem")]
pub struct Item {
    /// The content of the message.
    #[serde(flatten)]
    pub content: Content,
    /// The other fields.
    #[serde(flatten)]
    pub head: ItemHead,
}

/// The headers of a push, as fields of a message to send.
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
    #[serde(
        default,
        deserialize_with = "super::whole_number::seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay_seconds: Option<u32>,
    /// `Message-TTL`.
    #[cfg_attr(feature = "schema", schema(format = Int64, maximum = 4294967295.0))]
    #[serde(
        default,
        deserialize_with = "super::whole_number::seconds",
        skip_serializing_if = "Option::is_none"
    )]
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

/// A message that was received or peeked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredItem {
    /// The content of the message.
    #[serde(flatten)]
    pub content: Content,
    /// The other fields.
    #[serde(flatten)]
    pub head: DeliveredHead,
}

impl std::ops::Deref for DeliveredItem {
    type Target = DeliveredHead;

    fn deref(&self) -> &DeliveredHead {
        &self.head
    }
}

/// The headers of the answer to a pull, as fields of a message that was received or peeked at.
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
    /// `Message-Id`. Absent only from a peek at a dead letter whose id cannot be read.
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
    /// The token of the lease, if this request leased the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// `Lease-Duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
    /// `Lease-Expires-At`.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<String>,
    /// Peek, `state=delayed`: when the message becomes ready, RFC 3339.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// Peek: where the message is stored, and why it cannot be read. The content is then empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Peek, dead letters: why and since when the message is a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetterNote>,
}

/// Why and since when a message is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterNote {
    /// Why the message is a dead letter.
    pub cause: DeadLetterCause,
    /// The reason of the receiver that rejected the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the message became a dead letter, RFC 3339.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub since: String,
    /// The channel whose dead letter the message is, `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// `state=dead-letters`: the channel in which the message is stored, `namespace/name`.
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

/// The two fields of a content. A message of the broker always has one of them.
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

/// An item as one flat object: serde cannot reject unknown fields of a struct with flattened parts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenItem {
    content: Option<String>,
    content64: Option<String>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    idempotency_key: Option<String>,
    group: Option<String>,
    #[serde(default, deserialize_with = "super::whole_number::seconds")]
    delay_seconds: Option<u32>,
    #[serde(default, deserialize_with = "super::whole_number::seconds")]
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
    fn a_header_of_an_item_may_have_several_values() {
        let item: Item =
            serde_json::from_str(r#"{"content": "", "headers": {"meta-a": "1", "meta-b": ["2", "3"]}}"#)
                .unwrap();
        let values: Vec<_> = item.head.headers.values().flat_map(HeaderValues::iter).collect();
        assert_eq!(values, ["1", "2", "3"]);
        assert_eq!(item.content, Content::default());
    }

    #[test]
    fn an_item_with_a_missing_duplicate_unknown_or_invalid_field_is_refused() {
        for (bad, expected) in [
            ("{}", "the content is missing"),
            (r#"{"content": null}"#, "the content is missing"),
            (r#"{"content": "a", "content64": "YQ=="}"#, "content and content64 are both given"),
            (r#"{"content64": "a"}"#, "content64 is not base64"),
            (r#"{"body": "important"}"#, "body is an unknown field; known fields: content, content64,"),
            (r#"{"content": "a", "delay": 60}"#, "delay is an unknown field (did you mean delaySeconds?)"),
            (r#"{"content": "a", "key": "k"}"#, "key is an unknown field (did you mean idempotencyKey?)"),
            (r#"{"content": "a", "content": "b"}"#, "content is given more than once"),
            (r#"{"content": 1}"#, "content must be a string, not the number 1"),
            (
                r#"{"content": "a", "delaySeconds": "5"}"#,
                "delaySeconds must be whole seconds from 0 to 4294967295, not a string",
            ),
            (r#"{"content": "a", "headers": []}"#, "headers must be an object, not an array"),
            (
                r#"{"content": "a", "headers": {"meta-a": 1}}"#,
                "headers.meta-a must be a string or an array of strings, not the number 1",
            ),
            (
                r#"{"content": "a", "headers": {"meta-a": [1]}}"#,
                "headers.meta-a[0] must be a string, not the number 1",
            ),
            (
                r#"{"content": "a", "headers": {"meta-a": "1", "meta-a": "2"}}"#,
                "headers.meta-a is given more than once",
            ),
            (r#"["a"]"#, "the JSON must be an object, not an array"),
        ] {
            let fault = crate::json::read::<Item>(bad.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{bad}: {fault}");
        }
    }

    #[test]
    fn the_head_of_a_frame_has_no_content_and_no_unknown_field() {
        for (bad, expected) in [
            (r#"{"content": "a"}"#, "content is an unknown field"),
            (r#"{"ttl": 5}"#, "ttl is an unknown field (did you mean ttlSeconds?)"),
        ] {
            let fault = crate::json::read::<ItemHead>(bad.as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with(expected), "{bad}: {fault}");
        }
    }
}
