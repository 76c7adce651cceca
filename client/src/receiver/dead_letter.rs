//! What is said on a message that another channel gave up.

use http::HeaderMap;
use restante_wire::header;

/// Where a message comes from that another channel gave up, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why, in the broker's word: `max-deliveries`, `rejected` or `expired`.
    pub cause: String,
    /// The channel that gave it up: `namespace/name`. Empty when the broker did not say.
    pub channel: String,
    /// What the receiver said that rejected it.
    pub reason: Option<String>,
}

impl DeadLetter {
    /// Reads the headers of a delivery; none where no channel gave the message up.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Some(Self {
            cause: text(header::MESSAGE_DEAD_LETTER_CAUSE)?,
            channel: text(header::MESSAGE_DEAD_LETTER_CHANNEL).unwrap_or_default(),
            reason: text(header::MESSAGE_DEAD_LETTER_REASON),
        })
    }
}
