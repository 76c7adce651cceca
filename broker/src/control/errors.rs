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
    let detail = "something else was asked for under this Idempotency-Key: each work needs a key of its own";
    HttpError::new(ProblemType::IdempotencyMismatch, detail)
}

/// More whole sets are sent than may be.
pub(super) fn too_many_syncs() -> HttpError {
    let detail = format!("the limit of {SYNCS_AT_ONCE} syncs at a time is reached; try again");
    HttpError::new(ProblemType::Busy, detail)
}

/// The channels come from manifests.
pub(super) fn manifests_rule() -> HttpError {
    let detail = "this broker's channels are those of its manifests (--manifests): change those, and send it SIGHUP; a channel \
                  is deleted with its messages while the broker runs without --manifests";
    HttpError::new(ProblemType::ManifestsRule, detail)
}

/// A defect of the broker: whoever panicked has said why in the log.
pub(super) fn panicked(_: JoinError) -> HttpError {
    HttpError::new(ProblemType::Internal, "the change was not carried through: the broker's log says why")
}

/// Nothing has this UID.
pub(super) fn unknown(uid: Uuid) -> HttpError {
    HttpError::new(ProblemType::ChannelUnknown, format!("no channel and no orphan has the UID {uid}"))
}

/// The channel, or the orphan, still has messages.
pub(super) fn not_empty(uid: Uuid, messages: u64, is_orphan: bool) -> HttpError {
    let detail = if is_orphan {
        format!(
            "orphan {uid} holds {messages} messages, and nobody can ask for them: make the channel again, or say force=true to drop \
             them; restante-broker dump tells what is in them"
        )
    } else {
        format!("channel {uid} holds {messages} messages: have them received, or say force=true to drop them")
    };
    HttpError::new(ProblemType::ChannelNotEmpty, detail)
}
