//! A message on its way out: the content, its type, the headers that travel with it, and what the channel is told about it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use restante_wire::{
    Address,
    batch::{HeaderValues, Item, ItemHead},
    header::{self as wire, GROUP_CHARACTERS_MAX, KEY_CHARACTERS_MAX},
};
use uuid::Uuid;

use crate::text;

/// What a [`Sender`](crate::Sender) transmits. The broker keeps content and headers and hands them back unchanged; group,
/// delay and time to live are the channel's to obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    body: Bytes,
    headers: HeaderMap,
    group: Option<String>,
    delay_seconds: Option<u32>,
    ttl_seconds: Option<u32>,
    idempotency_key: Option<String>,
}

/// Why something cannot travel with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The broker would drop it.
    #[error("the broker does not keep the header {0:?}; your own begin with Meta-, CloudEvents' with ce-")]
    NotKept(String),
    /// No HTTP header has this name.
    #[error("{0:?} is no header name: it must be letters, digits and hyphens")]
    Name(String),
    /// No HTTP header has this value.
    #[error("the value of the header {0:?} must be visible ASCII and spaces, on one line")]
    Value(String),
    /// A header that a message has once.
    #[error("the header {0:?} is given more than once; give it once")]
    Twice(String),
    /// No group is called so.
    #[error("the group must be 1 to {GROUP_CHARACTERS_MAX} visible ASCII characters, and this one {0}")]
    Group(String),
    /// The broker would refuse the key.
    #[error(
        "the idempotency key must be 1 to {KEY_CHARACTERS_MAX} visible ASCII characters, and this one {0}"
    )]
    Key(String),
}

impl Message {
    /// A message with this content, byte for byte; empty is allowed.
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

    /// Says what the content is: a media type, handed back as it is written here.
    pub fn content_type(self, media_type: &str) -> Result<Self, HeaderError> {
        self.header(header::CONTENT_TYPE.as_str(), media_type)
    }

    /// Adds a header that travels with the message: `Meta-…`, `ce-…`, `Content-Encoding`, `Content-Language`,
    /// `traceparent`, `tracestate`, `Reply-To` or `Correlation-Id`. A second `Meta-…` or `ce-…` of one name is added to
    /// the first; any other takes its place.
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

    /// The same message, if a header of this name would be added to it and take no other's place.
    pub fn once(self, name: &str) -> Result<Self, HeaderError> {
        let name: HeaderName = name.parse().map_err(|_| HeaderError::Name(name.into()))?;
        let is_one_of_many = name.as_str().starts_with("meta-") || name.as_str().starts_with("ce-");
        if self.headers.contains_key(&name) && !is_one_of_many {
            return Err(HeaderError::Twice(name.to_string()));
        }
        Ok(self)
    }

    /// Puts the message into a group: of a group at most one message is leased at a time, and the next follows when it is
    /// gone. 1 to 128 visible ASCII characters.
    pub fn group(self, group: impl Into<String>) -> Result<Self, HeaderError> {
        let group = group.into();
        match text::not_visible(&group, GROUP_CHARACTERS_MAX) {
            Some(reason) => Err(HeaderError::Group(reason)),
            None => Ok(Self { group: Some(group), ..self }),
        }
    }

    /// Nobody gets the message before so many seconds have passed. The channel refuses more than its bound.
    pub fn delay(self, seconds: u32) -> Self {
        Self { delay_seconds: Some(seconds), ..self }
    }

    /// After so many seconds the message expires. The channel refuses more than its bound.
    pub fn time_to_live(self, seconds: u32) -> Self {
        Self { ttl_seconds: Some(seconds), ..self }
    }

    /// The key under which the broker recognises a repeat: 1 to 255 visible ASCII characters. Without one, each message
    /// gets a random UUID when it is sent, which covers the tries of that call but not those of a program that was
    /// started again.
    pub fn idempotency_key(self, key: impl Into<String>) -> Result<Self, HeaderError> {
        let key = key.into();
        match text::not_visible(&key, KEY_CHARACTERS_MAX) {
            Some(reason) => Err(HeaderError::Key(reason)),
            None => Ok(Self { idempotency_key: Some(key), ..self }),
        }
    }

    /// The key to send it under: its own, or a random one.
    pub(crate) fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string())
    }

    /// The same message under this key, if it has none of its own.
    pub(crate) fn or_key(self, key: &str) -> Result<Self, HeaderError> {
        if self.idempotency_key.is_some() { Ok(self) } else { self.idempotency_key(key) }
    }

    /// The same message as a request, which awaits its reply at an address, or as a reply.
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

    /// The headers of a push under this key.
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

    /// What is said of it in a batch, under this key.
    pub(crate) fn item_head(&self, key: &str) -> ItemHead {
        let mut head = ItemHead {
            idempotency_key: Some(key.to_owned()),
            group: self.group.clone(),
            delay_seconds: self.delay_seconds,
            ttl_seconds: self.ttl_seconds,
            ..ItemHead::default()
        };
        for name in self.headers.keys() {
            // A value that was checked when it was added is text.
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

    /// The content.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The headers that travel with it, the content's type among them.
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

    /// The message that an item of a JSON batch describes.
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
    fn a_header_that_the_broker_would_drop_is_refused() {
        let with = |name, value| Message::new("x").header(name, value);
        assert!(with("Meta-Colour", "red").is_ok());
        assert!(with("ce-type", "order").is_ok());
        assert_eq!(with("X-Colour", "red"), Err(HeaderError::NotKept("X-Colour".into())));
        assert_eq!(with("Message-Id", "1"), Err(HeaderError::NotKept("Message-Id".into())));
        assert_eq!(with("Meta a", "red"), Err(HeaderError::Name("Meta a".into())));
        assert_eq!(with("Meta-a", "red\r\nHost: x"), Err(HeaderError::Value("Meta-a".into())));
    }

    #[test]
    fn there_is_one_content_type_and_there_may_be_many_of_ones_own() {
        let message =
            Message::new("x").content_type("text/plain").unwrap().content_type("text/html").unwrap();
        let message = message.header("Meta-a", "1").unwrap().header("meta-a", "2").unwrap();
        assert_eq!(message.headers().get_all("content-type").iter().count(), 1);
        assert_eq!(message.headers().get_all("meta-a").iter().count(), 2);
    }

    #[test]
    fn an_item_and_its_message_say_the_same() {
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
    fn an_item_that_gives_one_header_twice_is_refused() {
        for json in [
            r#"{"content": "a", "contentType": "a/b", "headers": {"Content-Type": "c/d"}}"#,
            r#"{"content": "a", "headers": {"reply-to": ["a/b", "c/d"]}}"#,
        ] {
            let item: Item = serde_json::from_str(json).unwrap();
            assert!(matches!(Message::try_from(item), Err(HeaderError::Twice(_))), "{json}");
        }
    }

    #[test]
    fn a_group_or_key_that_the_broker_would_refuse_is_refused() {
        assert!(matches!(Message::new("x").group("g".repeat(129)), Err(HeaderError::Group(_))));
        assert!(matches!(Message::new("x").idempotency_key("a b"), Err(HeaderError::Key(_))));
    }
}
