//! Which problem each refusal of the control API is.

use restante_wire::ProblemType;
use tokio::task::JoinError;
use uuid::Uuid;

use super::SYNCS_AT_ONCE;
use crate::{
    address_store::ApplyError,
    core::{CoreGone, WorkFailed},
    http::error::HttpError,
};

/// The store refused a change.
pub(super) fn refused(error: ApplyError) -> HttpError {
    let kind = match &error {
        ApplyError::Invalid(_)
        | ApplyError::Durability { .. }
        | ApplyError::TooMany(_)
        | ApplyError::TooManyOrphans(_)
        | ApplyError::NumbersExhausted => ProblemType::ChannelInvalid,
        ApplyError::Conflict(_) => ProblemType::ChannelConflict,
        ApplyError::Deleted { .. } => ProblemType::ChannelDeleted,
        ApplyError::Full(_) => ProblemType::StoreFull,
        ApplyError::NotWritten { .. } | ApplyError::Failed => ProblemType::StoreFailed,
    };
    HttpError::new(kind, error.to_string())
}

/// The channels' thread has ended.
pub(super) fn gone(error: CoreGone) -> HttpError {
    HttpError::new(ProblemType::Draining, error.to_string())
}

/// A work on a channel's messages ended early. What was done by then stays done, and asking again goes on.
pub(super) fn not_done(error: WorkFailed) -> HttpError {
    match error {
        WorkFailed::Gone(error) => gone(error),
        WorkFailed::Store(error) => HttpError::new(ProblemType::StoreFailed, error.to_string()),
        WorkFailed::NoRoom => HttpError::new(ProblemType::StoreFull, error.to_string()),
    }
}

/// The key was used for something else.
pub(super) fn other_work() -> HttpError {
    let detail = "this Idempotency-Key was used for another operation; use a separate key for each operation";
    HttpError::new(ProblemType::IdempotencyMismatch, detail)
}

/// More whole sets are sent than may be.
pub(super) fn too_many_syncs() -> HttpError {
    let detail = format!("the limit of {SYNCS_AT_ONCE} syncs at a time is reached; try again");
    HttpError::new(ProblemType::Busy, detail)
}

/// The channels come from manifests.
pub(super) fn managed_by_manifests() -> HttpError {
    let detail = "the channels of this broker are managed by manifest files (--manifests); change the files and send SIGHUP; a \
                  channel is deleted with its messages while the broker runs without --manifests";
    HttpError::new(ProblemType::ManagedByManifests, detail)
}

/// A defect of the broker: whoever panicked has said why in the log.
pub(super) fn panicked(_: JoinError) -> HttpError {
    HttpError::new(
        ProblemType::Internal,
        "the change was not completed because of a bug of the broker; see its log",
    )
}

/// Nothing has this UID.
pub(super) fn unknown(uid: Uuid) -> HttpError {
    HttpError::new(ProblemType::ChannelUnknown, format!("no channel or orphan has the UID {uid}"))
}

/// The channel, or the orphan, still has messages.
pub(super) fn not_empty(uid: Uuid, messages: u64, is_orphan: bool) -> HttpError {
    let detail = if is_orphan {
        format!(
            "orphan {uid} holds {messages} messages, which no receiver can reach; create its channel again, or drop them with \
             force=true (restante-broker dump shows them)"
        )
    } else {
        format!(
            "channel {uid} holds {messages} messages; receive and settle them, or drop them with force=true"
        )
    };
    HttpError::new(ProblemType::ChannelNotEmpty, detail)
}
