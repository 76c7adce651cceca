//! A message to send: its body, its headers, and its group, delay and time to live.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use restante_wire::{
    Address,
    batch::{HeaderValues, Item, ItemHead},
    header::{self as wire, GROUP_CHARACTERS_MAX, KEY_CHARACTERS_MAX},
};
use uuid::Uuid;

use crate::text;

/// A message for a [`Sender`](crate::Sender). The broker stores body and headers and delivers them unchanged; the
/// channel applies group, delay and time to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    body: Bytes,
    headers: HeaderMap,
    group: Option<String>,
    delay_seconds: Option<u32>,
    ttl_seconds: Option<u32>,
    idempotency_key: Option<String>,
}

/// Why a header, group or idempotency key cannot be sent with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The broker does not keep this header.
    #[error(
        "the header {0:?} is not kept by the broker; begin your own headers with Meta-, and CloudEvents headers with ce-"
    )]
    NotKept(String),
    /// The header's name is invalid in HTTP.
    #[error("the header name {0:?} is invalid; use letters, digits and hyphens")]
    Name(String),
    /// The header's value is invalid in HTTP.
    #[error("the value of the header {0:?} is invalid; use visible ASCII characters and spaces, on one line")]
    Value(String),
    /// A header that may be given only once is given again.
    #[error("the header {0:?} is given more than once; give it once")]
    Twice(String),
    /// The group is invalid.
    #[error("the group is invalid: it {0}; use 1 to {GROUP_CHARACTERS_MAX} visible ASCII characters")]
    Group(String),
    /// The idempotency key is invalid.
    #[error("the idempotency key is invalid: it {0}; use 1 to {KEY_CHARACTERS_MAX} visible ASCII characters")]
    Key(String),
}

impl Message {
    /// Makes a message with this body. An empty body is allowed.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            headers: HeaderMap::new(),
            group: None,
            delay_seconds: None,
            ttl_seconds: None,
            idempotency_key: None,
        }
    }

    /// Sets the body's media type. The broker delivers it unchanged.
    pub fn content_type(self, media_type: &str) -> Result<Self, HeaderError> {
        self.header(header::CONTENT_TYPE.as_str(), media_type)
    }

    /// Adds a header to the message: `Meta-…`, `ce-…`, `Content-Encoding`, `Content-Language`, `traceparent`,
    /// `tracestate`, `Reply-To` or `Correlation-Id`. A second `Meta-…` or `ce-…` header of the same name is added to
    /// the first; any other header replaces the first.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HeaderError> {
        let header: HeaderName = name.parse().map_err(|_| HeaderError::Name(name.into()))?;
        if !wire::is_kept(header.as_str()) {
            return Err(HeaderError::NotKept(name.into()));
        }
        let value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value(name.into()))?;
        if header.as_str().starts_with("meta-") || header.as_str().starts_with("ce-") {
            self.headers.append(header, value);
        } else {
            self.headers.insert(header, value);
        }
        Ok(self)
    }

    /// Returns the message unchanged, or an error if [`header`](Self::header) would replace a header of this name.
    pub fn once(self, name: &str) -> Result<Self, HeaderError> {
        let name: HeaderName = name.parse().map_err(|_| HeaderError::Name(name.into()))?;
        let is_one_of_many = name.as_str().starts_with("meta-") || name.as_str().starts_with("ce-");
        if self.headers.contains_key(&name) && !is_one_of_many {
            return Err(HeaderError::Twice(name.to_string()));
        }
        Ok(self)
    }

    /// Puts the message into a message group: at most one message of a group is leased at a time, and the next one
    /// becomes ready after the leased one has left the channel. 1 to 128 visible ASCII characters.
    pub fn group(self, group: impl Into<String>) -> Result<Self, HeaderError> {
        let group = group.into();
        match text::not_visible(&group, GROUP_CHARACTERS_MAX) {
            Some(reason) => Err(HeaderError::Group(reason)),
            None => Ok(Self { group: Some(group), ..self }),
        }
    }

    /// Delays delivery by this number of seconds. The channel refuses a delay above its limit.
    pub fn delay(self, seconds: u32) -> Self {
        Self { delay_seconds: Some(seconds), ..self }
    }

    /// Lets the message expire after this number of seconds. The channel refuses a time to live above its limit.
    pub fn time_to_live(self, seconds: u32) -> Self {
        Self { ttl_seconds: Some(seconds), ..self }
    }

    /// Sets the key by which the broker recognises a repeated push: 1 to 255 visible ASCII characters. Without a key,
    /// each message gets a random UUID when it is sent. That covers the retries of the call, but not a second call
    /// after a restart of the program.
    pub fn idempotency_key(self, key: impl Into<String>) -> Result<Self, HeaderError> {
        let key = key.into();
        match text::not_visible(&key, KEY_CHARACTERS_MAX) {
            Some(reason) => Err(HeaderError::Key(reason)),
            None => Ok(Self { idempotency_key: Some(key), ..self }),
        }
    }

    /// The message's idempotency key, or a random one.
    pub(crate) fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string())
    }

    /// Sets the idempotency key unless the message has one.
    pub(crate) fn or_key(self, key: &str) -> Result<Self, HeaderError> {
        if self.idempotency_key.is_some() { Ok(self) } else { self.idempotency_key(key) }
    }

    /// Sets `Correlation-Id`, and `Reply-To` if the message is a request.
    pub(crate) fn correlated(
        self,
        reply_to: Option<&Address>,
        correlation_id: &str,
    ) -> Result<Self, HeaderError> {
        let message = match reply_to {
            Some(address) => self.header(wire::REPLY_TO, address.as_str())?,
            None => self,
        };
        message.header(wire::CORRELATION_ID, correlation_id)
    }

    /// The headers of a push with this idempotency key.
    pub(crate) fn push_headers(&self, key: &str) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(wire::IDEMPOTENCY_KEY, text::quoted(key));
        if let Some(group) = self.group.as_deref().and_then(|group| HeaderValue::from_str(group).ok()) {
            headers.insert(wire::MESSAGE_GROUP, group);
        }
        let seconds = [(wire::MESSAGE_DELAY, self.delay_seconds), (wire::MESSAGE_TTL, self.ttl_seconds)];
        for (name, seconds) in seconds.into_iter().filter_map(|(name, seconds)| Some((name, seconds?))) {
            headers.insert(name, seconds.into());
        }
        headers
    }

    /// The head of the message's item in a batch, with this idempotency key.
    pub(crate) fn item_head(&self, key: &str) -> ItemHead {
        let mut head = ItemHead {
            idempotency_key: Some(key.to_owned()),
            group: self.group.clone(),
            delay_seconds: self.delay_seconds,
            ttl_seconds: self.ttl_seconds,
            ..ItemHead::default()
        };
        for name in self.headers.keys() {
            // `header` accepted the value, so it is text.
            let values = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let mut values: Vec<String> = values.map(str::to_owned).collect();
            match *name {
                header::CONTENT_TYPE => head.content_type = values.pop(),
                header::CONTENT_ENCODING => head.content_encoding = values.pop(),
                _ => {
                    let values = match values.len() {
                        1 => HeaderValues::One(values.remove(0)),
                        _ => HeaderValues::Many(values),
                    };
                    head.headers.insert(name.as_str().to_owned(), values);
                }
            }
        }
        head
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The headers, `Content-Type` among them.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl From<Vec<u8>> for Message {
    fn from(body: Vec<u8>) -> Self {
        Self::new(body)
    }
}

impl TryFrom<Item> for Message {
    type Error = HeaderError;

    /// Makes the message that an item of a JSON batch describes.
    fn try_from(item: Item) -> Result<Self, HeaderError> {
        let Item { content, head } = item;
        let mut message = Self::new(content.0);
        let types =
            [(header::CONTENT_TYPE, &head.content_type), (header::CONTENT_ENCODING, &head.content_encoding)];
        for (name, value) in types {
            if let Some(value) = value {
                message = message.header(name.as_str(), value)?;
            }
        }
        for (name, values) in &head.headers {
            for value in values.iter() {
                message = message.once(name)?.header(name, value)?;
            }
        }
        if let Some(group) = head.group {
            message = message.group(group)?;
        }
        if let Some(key) = head.idempotency_key {
            message = message.idempotency_key(key)?;
        }
        Ok(Self { delay_seconds: head.delay_seconds, ttl_seconds: head.ttl_seconds, ..message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_the_broker_does_not_keep_is_refused() {
        let with = |name, value| Message::new("x").header(name, value);
        assert!(with("Meta-Colour", "red").is_ok());
        assert!(with("ce-type", "order").is_ok());
        assert_eq!(with("X-Colour", "red"), Err(HeaderError::NotKept("X-Colour".into())));
        assert_eq!(with("Message-Id", "1"), Err(HeaderError::NotKept("Message-Id".into())));
        assert_eq!(with("Meta a", "red"), Err(HeaderError::Name("Meta a".into())));
        assert_eq!(with("Meta-a", "red\r\nHost: x"), Err(HeaderError::Value("Meta-a".into())));
    }

    #[test]
    fn content_type_is_replaced_and_meta_headers_accumulate() {
        let message =
            Message::new("x").content_type("text/plain").unwrap().content_type("text/html").unwrap();
        let message = message.header("Meta-a", "1").unwrap().header("meta-a", "2").unwrap();
        assert_eq!(message.headers().get_all("content-type").iter().count(), 1);
        assert_eq!(message.headers().get_all("meta-a").iter().count(), 2);
    }

    #[test]
    fn a_message_made_from_an_item_has_the_same_item_and_headers() {
        let json = r#"{"content":"a","contentType":"text/plain","idempotencyKey":"k","group":"g","delaySeconds":1,
            "ttlSeconds":2,"headers":{"meta-a":["1","2"],"reply-to":"a/b"}}"#;
        let item: Item = serde_json::from_str(json).unwrap();
        let message = Message::try_from(item.clone()).unwrap();
        assert_eq!(message.item_head(&message.key()), item.head);
        let headers = message.push_headers("k");
        assert_eq!(
            (&headers["message-group"], &headers["message-delay"], &headers["message-ttl"]),
            (&HeaderValue::from_static("g"), &HeaderValue::from_static("1"), &HeaderValue::from_static("2"))
        );
    }

    #[test]
    fn an_item_with_a_single_valued_header_twice_is_refused() {
        for json in [
            r#"{"content": "a", "contentType": "a/b", "headers": {"Content-Type": "c/d"}}"#,
            r#"{"content": "a", "headers": {"reply-to": ["a/b", "c/d"]}}"#,
        ] {
            let item: Item = serde_json::from_str(json).unwrap();
            assert!(matches!(Message::try_from(item), Err(HeaderError::Twice(_))), "{json}");
        }
    }

    #[test]
    fn an_invalid_group_or_idempotency_key_is_refused() {
        assert!(matches!(Message::new("x").group("g".repeat(129)), Err(HeaderError::Group(_))));
        assert!(matches!(Message::new("x").idempotency_key("a b"), Err(HeaderError::Key(_))));
    }
}
