//! The content of a message.

use bytes::Bytes;
use uuid::Uuid;

/// The body and kept headers of a message; [`super::encode_kept`] encodes the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub headers: Bytes,
    /// The body, byte for byte as sent.
    pub body: Bytes,
}

impl Content {
    /// Bytes of both, which count towards a channel's limit.
    pub fn bytes(&self) -> usize {
        self.headers.len() + self.body.len()
    }
}

/// The part of a message's record that its channel does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message's id, a UUIDv7.
    pub id: Uuid,
    pub content: Content,
}
