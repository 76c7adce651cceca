//! What a 201 says.

use restante_wire::header;
use uuid::Uuid;

use crate::{answer::Answer, error::RequestError};

/// The message is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The id that the broker gave the message: a UUIDv7, unique, not an order.
    pub message_id: Uuid,
    /// How durably it is stored, in the broker's word: `fsync` means on disk. Empty when the broker did not say.
    pub durability: String,
    /// Whether an earlier try, of this call or of another under the same key, had stored it already.
    pub replayed: bool,
}

impl Receipt {
    /// Reads a 201. One without a message id is not a broker's.
    pub(crate) fn read(answer: &Answer) -> Result<Self, RequestError> {
        Ok(Self {
            message_id: answer.required(header::MESSAGE_ID)?,
            durability: answer.text(header::MESSAGE_DURABILITY).unwrap_or_default().to_owned(),
            replayed: answer.text(header::IDEMPOTENCY_REPLAYED) == Some("true"),
        })
    }
}
