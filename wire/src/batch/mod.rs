//! Many messages in one body, as JSON or in the framing [`FRAMES_CONTENT_TYPE`].

mod frames;
mod headers;
mod item;
mod read;
#[cfg(feature = "schema")]
mod schema;
mod settlements;
mod whole_number;

use serde::{Deserialize, Serialize};

pub use frames::{FRAMES_CONTENT_TYPE, Frame, FramesError, decode_frames, encode_frame, split_frames};
pub use item::{
    Content, DeadLetterNote, DeliveredHead, DeliveredItem, HeaderValues, Headers, Item, ItemHead,
};
pub use read::{ReadBatch, read_batch};
pub use settlements::{LeaseResult, Reject, Release, Renew, SETTLEMENTS_MAX, SettlementResults, Settlements};

use crate::Problem;

/// The maximum number of items in one batch.
pub const BATCH_ITEMS_MAX: usize = 1000;
/// The maximum size of one batch, in bytes: of the body of a push, of the bodies and kept headers in the answer to a
/// pull.
pub const BATCH_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The body of `POST /v1/batches/{address}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushBatch {
    /// The messages, in order.
    #[cfg_attr(feature = "schema", schema(max_items = 1000))]
    pub messages: Vec<Item>,
}

/// The answer to `POST /v1/batches/{address}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PushResults {
    /// One result for each message, in order.
    pub results: Vec<PushResult>,
}

/// The result of one message of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PushResult {
    /// The status code of the message, as if it had been pushed alone.
    pub status: u16,
    /// The message's id, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether the message was stored before, with the same idempotency key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Why the message is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The answer to `GET /v1/batches/{address}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PulledBatch {
    /// The messages, in order.
    pub messages: Vec<DeliveredItem>,
}

/// The answer to `GET /v1/peek/{address}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeekedBatch {
    /// The messages, in order.
    pub messages: Vec<DeliveredItem>,
    /// Where to continue, as the parameter `after`; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
