//! What clients are told when a channel refuses: one answer for each refusal of the core.

use restante_wire::{Address, ProblemType};

use super::Context;
use crate::{
    channel::Refusal,
    core::{
        CoreGone, Fullness, PullRefusal, PushRefusal, SettleRefusal, SizeLimit, StoreFailed, WaitRefusal,
    },
    http::HttpError,
};

/// A push was refused.
pub(super) fn push(context: &Context, address: &Address, refusal: PushRefusal) -> HttpError {
    let (kind, detail) = match refusal {
        PushRefusal::Closed => return unknown(context, address, "no channel takes messages for"),
        PushRefusal::Closing(channel) => (
            ProblemType::ChannelClosing,
            format!(
                "{} is being deleted and takes no messages any more (deletionPolicy: Drain): send elsewhere",
                channel.config.qualified_name()
            ),
        ),
        PushRefusal::Full(fullness) => (ProblemType::ChannelFull, full(&fullness)),
        PushRefusal::TooFast { per_second, wait_ms } => {
            let detail = format!(
                "{address} takes {per_second} messages a second (limits.pushesPerSecond): send again in {wait_ms} ms"
            );
            let seconds = u32::try_from(wait_ms.div_ceil(1000)).unwrap_or(1).max(1);
            return HttpError::new(ProblemType::RateLimited, detail).after_seconds(seconds);
        }
        PushRefusal::TooLarge { bytes, limit } => (ProblemType::MessageTooLarge, too_large(bytes, &limit)),
        PushRefusal::KeyInProgress => (
            ProblemType::IdempotencyInProgress,
            "a push under this Idempotency-Key waits for room: send again when it was answered".into(),
        ),
        PushRefusal::KeyMismatch => (
            ProblemType::IdempotencyMismatch,
            "another message was sent under this Idempotency-Key: content, content headers, group, delay, TTL, ce-* or \
             Meta-* differ. Each message needs a key of its own"
                .into(),
        ),
        PushRefusal::KeyUnreadable => (
            ProblemType::IdempotencyUnreadable,
            "a message was stored under this Idempotency-Key, and the broker's disk cannot read what tells whether this is the \
             same: it was not stored again. Ask the broker's operator, or send it under another key"
                .into(),
        ),
        PushRefusal::IdempotencyFull => (
            ProblemType::IdempotencyFull,
            "the limit of remembered idempotency keys is reached, by this channel, its namespace or all \
             (--idempotency-keys-max); try again later, or without a key"
                .into(),
        ),
        PushRefusal::StoreFull => (
            ProblemType::StoreFull,
            "the broker's disk has room only for what empties it: receive and settle messages, or enlarge the volume"
                .into(),
        ),
        PushRefusal::DiskShare { entry, stored, left } => (
            ProblemType::StoreFull,
            format!(
                "{} stores {stored} bytes, and the {left} bytes that are left on the volume are for others; receive and settle \
                 its messages, or enlarge the volume",
                entry.config.qualified_name()
            ),
        ),
        PushRefusal::StoreFailed => return store_failed(),
        PushRefusal::Gone => return draining(),
    };
    HttpError::new(kind, detail)
}

fn too_large(bytes: u64, limit: &SizeLimit) -> String {
    match limit {
        SizeLimit::Channel(entry) => format!(
            "the message with its kept headers has {bytes} bytes, and {} holds {} in all (limits.bytes): send less, or raise \
             the limit",
            entry.config.qualified_name(),
            entry.config.limits.bytes
        ),
        SizeLimit::Segment(max) => format!(
            "the message takes {bytes} bytes with all that is stored of it, and {max} fit a segment of the log: send less, or \
             raise --segment-size"
        ),
    }
}

/// The message could be stored, and no answer would ever bring it.
pub(super) fn beyond_answers(bytes: u64, max: u64) -> HttpError {
    let detail = format!(
        "the message with its kept headers has {bytes} bytes, and answers take {max} (--answer-memory), so that no receiver would \
         ever get it: send less, or raise the limit"
    );
    HttpError::new(ProblemType::MessageTooLarge, detail)
}

fn full(fullness: &Fullness) -> String {
    let Fullness { entry, messages: [ready, leased, delayed, dead], bytes, waiting_senders } = fullness;
    let limits = &entry.config.limits;
    let name = entry.config.qualified_name();
    let waiting = if *waiting_senders > 0 {
        format!("; {waiting_senders} senders came earlier and wait for room")
    } else {
        String::new()
    };
    format!(
        "{name} holds {ready} ready, {leased} leased, {delayed} delayed and {dead} dead messages with {bytes} bytes, and \
         takes {} with {} bytes (limits){waiting}: send again when receivers have made room, or with Prefer: wait=20",
        limits.messages, limits.bytes
    )
}

impl From<CoreGone> for HttpError {
    fn from(_: CoreGone) -> Self {
        draining()
    }
}

/// As many senders wait as may.
pub(super) fn too_many_senders(WaitRefusal { max }: WaitRefusal) -> HttpError {
    let detail =
        format!("the channel is full, and {max} senders wait for room already (--waiting-senders-max)");
    HttpError::new(ProblemType::TooManySenders, detail)
}

/// A pull was refused.
pub(super) fn pull(channel: &str, refusal: PullRefusal) -> HttpError {
    match refusal {
        PullRefusal::Closed => {
            let detail = format!(
                "{channel} gives no messages at this address any more: it was deleted, left the set of channels, or has another source"
            );
            HttpError::new(ProblemType::AddressUnknown, detail)
        }
        PullRefusal::TooManyReceivers { max } => {
            let detail = format!(
                "{max} receivers wait on {channel} already (--waiting-receivers-max): ask again later"
            );
            HttpError::new(ProblemType::TooManyReceivers, detail)
        }
        PullRefusal::NoMemory => busy(),
        PullRefusal::OtherForm => {
            let detail = "the Receive-Attempt-Id is that of another pull, which still has its messages: a repeat asks the \
                          same path with the same max and lease, and another pull has an id of its own";
            HttpError::new(ProblemType::AttemptMismatch, detail)
        }
        PullRefusal::StoreFull => {
            let detail = "the broker's disk is full: there is no room to write the lease down until messages that are \
                          leased were settled; ask again, or enlarge the volume";
            HttpError::new(ProblemType::StoreFull, detail)
        }
        PullRefusal::StoreFailed => store_failed(),
        PullRefusal::Gone => draining(),
    }
}

/// A settle, release, reject or renewal was refused.
pub(super) fn settle(refusal: SettleRefusal) -> HttpError {
    let refusal = match refusal {
        SettleRefusal::Lease(refusal) => refusal,
        SettleRefusal::StoreFull => {
            let detail = "the broker's disk is full: there is no room to write this down for now; try again, settle messages, \
                          or enlarge the volume";
            return HttpError::new(ProblemType::StoreFull, detail);
        }
        SettleRefusal::StoreFailed => return store_failed(),
        SettleRefusal::Gone => return draining(),
        SettleRefusal::ChannelDeleted => {
            let detail = "the channel was deleted, and the message with it";
            return HttpError::new(ProblemType::ChannelDeleted, detail);
        }
        SettleRefusal::DelayTooLong { max_seconds } => {
            let detail = format!(
                "the delay is longer than the {max_seconds} s that the channel takes (limits.maxDelaySeconds): say less, \
                 or raise the limit"
            );
            return HttpError::new(ProblemType::ParameterMalformed, detail);
        }
    };
    let kind = match refusal {
        Refusal::Expired => ProblemType::LeaseExpired,
        Refusal::Released => ProblemType::LeaseReleased,
        Refusal::Superseded => ProblemType::LeaseSuperseded,
        Refusal::Settled => ProblemType::MessageSettled,
    };
    HttpError::new(kind, refusal.to_string())
}

/// A token that this data folder's key never sealed.
pub(super) fn lease_unknown() -> HttpError {
    let detail = "this broker never issued such a lease: take the path in the Location of the answer that brought the \
                  message, as it is";
    HttpError::new(ProblemType::LeaseUnknown, detail)
}

/// No channel has the address; or, before the address store was ever filled, nobody knows.
pub(super) fn unknown(context: &Context, address: &Address, reason: &str) -> HttpError {
    if !context.store.is_programmed() {
        let detail = "this broker was never told its channels: its operator, or --manifests, will";
        return HttpError::new(ProblemType::NotProgrammed, detail);
    }
    let detail = format!(
        "{reason} {address}: check the spelling, and that a MessageChannel in namespace {} has it and is Ready",
        address.namespace()
    );
    HttpError::new(ProblemType::AddressUnknown, detail)
}

/// The address has the other side only.
pub(super) fn one_sided(address: &Address, sides: &str) -> HttpError {
    let detail = format!("messages are {sides} {address}: see the channel's destination and source");
    HttpError::new(ProblemType::AddressUnknown, detail)
}

/// The broker is shutting down.
pub(super) fn draining() -> HttpError {
    let detail = "this broker is shutting down: send the request again, to its successor";
    HttpError::new(ProblemType::Draining, detail)
}

/// Answers that nobody takes fill their memory.
pub(super) fn busy() -> HttpError {
    let detail =
        "the limit of answers on their way is reached, by this client or by all (--answer-memory); ask again";
    HttpError::new(ProblemType::Busy, detail)
}

/// The store failed: what it holds is decided when the broker starts again.
pub(super) fn store_failed() -> HttpError {
    HttpError::new(ProblemType::StoreFailed, StoreFailed.to_string())
}
