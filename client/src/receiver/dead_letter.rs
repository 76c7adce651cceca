//! Headers of a dead letter.

use http::HeaderMap;
use restante_wire::header;

/// Origin of a message that became a dead letter, and the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The broker's name of the cause: `max-deliveries`, `rejected` or `expired`.
    pub cause: String,
    /// The channel in which the message became a dead letter: `namespace/name`. Empty if the broker did not send it.
    pub channel: String,
    /// The reason that the rejecting receiver gave.
    pub reason: Option<String>,
}

impl DeadLetter {
    /// Reads the headers of a delivery; `None` if the message is not a dead letter.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Some(Self {
            cause: text(header::MESSAGE_DEAD_LETTER_CAUSE)?,
            channel: text(header::MESSAGE_DEAD_LETTER_CHANNEL).unwrap_or_default(),
            reason: text(header::MESSAGE_DEAD_LETTER_REASON),
        })
    }
}
