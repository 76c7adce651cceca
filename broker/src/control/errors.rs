//! Maps errors of the control API to problem types.

use restante_wire::ProblemType;
use tokio::task::JoinError;
use uuid::Uuid;

use super::SYNCS_AT_ONCE;
use crate::{
    address_store::ApplyError,
    http::error::HttpError,
    shard::{ShardGone, WorkFailed},
};

/// The address store refused a change.
pub(super) fn refused(error: ApplyError) -> HttpError {
    let kind = match &error {
        ApplyError::Invalid(_)
        | ApplyError::Durability { .. }
        | ApplyError::TooMany(_)
        | ApplyError::TooManyOrphans(_)
        | ApplyError::IdTaken { .. } => ProblemType::ChannelInvalid,
        ApplyError::Conflict(_) => ProblemType::ChannelConflict,
        ApplyError::Deleted { .. } => ProblemType::ChannelDeleted,
        ApplyError::Full(_) => ProblemType::StoreFull,
        ApplyError::NotWritten { .. } | ApplyError::Failed => ProblemType::StoreFailed,
    };
    let answer = HttpError::new(kind, error.to_string());
    match error.channel() {
        Some(uid) => answer.about_channel(uid),
        None => answer,
    }
}

/// The thread of the channels has ended, because the broker is shutting down.
pub(super) fn shutting_down(error: ShardGone) -> HttpError {
    HttpError::new(ProblemType::Draining, error.to_string())
}

/// A redrive, purge or deletion ended early. What was done stays done, and a repeat continues.
pub(super) fn not_done(error: WorkFailed) -> HttpError {
    match error {
        WorkFailed::Gone(error) => shutting_down(error),
        WorkFailed::Store(error) => HttpError::new(ProblemType::StoreFailed, error.to_string()),
        WorkFailed::NoRoom => HttpError::new(ProblemType::StoreFull, error.to_string()),
    }
}

pub(super) fn other_work() -> HttpError {
    let detail = "this Idempotency-Key was used for another operation; use a separate key for each operation";
    HttpError::new(ProblemType::IdempotencyMismatch, detail)
}

pub(super) fn too_many_syncs() -> HttpError {
    let detail = format!("the limit of {SYNCS_AT_ONCE} syncs at a time is reached; try again");
    HttpError::new(ProblemType::Busy, detail)
}

pub(super) fn managed_by_manifests() -> HttpError {
    let detail = "the channels of this broker are managed by manifest files (--manifests); change the files and send \
                  SIGHUP; a channel is deleted with its messages while the broker runs without --manifests";
    HttpError::new(ProblemType::ManagedByManifests, detail)
}

/// The task panicked, which is a bug of the broker. The panic is in the log.
pub(super) fn panicked(_: JoinError) -> HttpError {
    HttpError::new(
        ProblemType::Internal,
        "the change was not completed because of a bug of the broker; see its log",
    )
}

pub(super) fn unknown(uid: Uuid) -> HttpError {
    HttpError::new(ProblemType::ChannelUnknown, format!("no channel or orphan has the UID {uid}"))
}

pub(super) fn not_empty(uid: Uuid, messages: u64, is_orphan: bool) -> HttpError {
    let detail = if is_orphan {
        format!(
            "orphan {uid} holds {messages} messages, which no receiver can reach; create its channel again, or drop \
             them with force=true (restante-broker dump shows them)"
        )
    } else {
        format!(
            "channel {uid} holds {messages} messages; receive and settle them, or drop them with force=true"
        )
    };
    HttpError::new(ProblemType::ChannelNotEmpty, detail)
}
