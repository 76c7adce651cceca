//! The receipt of a stored message, read from a 201.

use restante_wire::header;
use uuid::Uuid;

use crate::{answer::Answer, error::RequestError};

/// Receipt of a stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id, assigned by the broker: a unique UUIDv7. Its order is not the order of the messages.
    pub message_id: Uuid,
    /// The broker's name of the durability; `fsync` means that the message is on disk. Empty if the broker did not send
    /// it.
    pub durability: String,
    /// Whether an earlier try had already stored the message, in this call or in another one under the same key.
    pub replayed: bool,
}

impl Receipt {
    /// Reads a 201. An answer without a message id is not a broker's.
    pub(crate) fn read(answer: &Answer) -> Result<Self, RequestError> {
        Ok(Self {
            message_id: answer.required(header::MESSAGE_ID)?,
            durability: answer.text(header::MESSAGE_DURABILITY).unwrap_or_default().to_owned(),
            replayed: answer.text(header::IDEMPOTENCY_REPLAYED) == Some("true"),
        })
    }
}
