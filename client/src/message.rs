//! A message on its way out: the content, its type, and the headers that travel with it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use restante_wire::header as wire;

/// What a [`Sender`](crate::Sender) transmits. The broker keeps all of it and hands it back unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    content: Bytes,
    headers: HeaderMap,
}

/// Why a header cannot travel with a message.
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
}

impl Message {
    /// A message with this content, byte for byte; empty is allowed.
    pub fn new(content: impl Into<Bytes>) -> Self {
        Self { content: content.into(), headers: HeaderMap::new() }
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

    /// The content.
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// The headers that travel with it, the content's type among them.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
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
}
