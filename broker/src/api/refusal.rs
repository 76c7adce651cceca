//! Maps each refusal of a worker to the error answer for the client.

use restante_wire::{Address, ProblemType};

use crate::{
    channel::Refusal,
    http::HttpError,
    service::{ReceiveRefusal, Service},
    shard::{Fullness, PullRefusal, PushRefusal, SettleRefusal, ShardGone, SizeLimit, StoreFailed},
};

pub(super) fn push(service: &Service, address: &Address, refusal: PushRefusal) -> HttpError {
    let (kind, detail) = match refusal {
        PushRefusal::Closed => return unknown(service, address, "no channel has the destination"),
        PushRefusal::Closing(channel) => (
            ProblemType::ChannelClosing,
            format!(
                "{} is being deleted (deletionPolicy: Drain) and accepts no more messages; send elsewhere",
                channel.config.qualified_name()
            ),
        ),
        PushRefusal::Full(fullness) => (ProblemType::ChannelFull, full(&fullness)),
        PushRefusal::TooFast { per_second, wait_ms } => {
            let detail = format!(
                "the rate limit of {address} is reached: {per_second} messages per second (limits.pushesPerSecond); \
                 send again in {wait_ms} ms"
            );
            let seconds = u32::try_from(wait_ms.div_ceil(1000)).unwrap_or(1).max(1);
            return HttpError::new(ProblemType::RateLimited, detail).after_seconds(seconds);
        }
        PushRefusal::TooLarge { bytes, limit } => (ProblemType::MessageTooLarge, too_large(bytes, &limit)),
        PushRefusal::TooManySenders { max } => (
            ProblemType::TooManySenders,
            format!(
                "the channel is full, and its limit of {max} waiting senders is reached, by this client or by all \
                 (--waiting-senders-max); send again later"
            ),
        ),
        PushRefusal::KeyInProgress => (
            ProblemType::IdempotencyInProgress,
            "another push with this Idempotency-Key is waiting for room in the channel; send again when it has been \
             answered"
                .into(),
        ),
        PushRefusal::KeyMismatch => (
            ProblemType::IdempotencyMismatch,
            "this Idempotency-Key was used for another message: the body, Content-*, group, delay, TTL, ce-* or \
             Meta-* differs; use a separate key for each message"
                .into(),
        ),
        PushRefusal::KeyUnreadable => (
            ProblemType::IdempotencyUnreadable,
            "the broker's disk cannot read the message stored with this Idempotency-Key, so a repeat cannot be \
             recognised; nothing was stored; ask the broker's administrator, or use another key"
                .into(),
        ),
        PushRefusal::TooManyIdempotencyKeys => (
            ProblemType::TooManyIdempotencyKeys,
            "the limit of remembered idempotency keys is reached, by this channel, by its namespace or by all \
             (--idempotency-keys-max); send again later, or without a key"
                .into(),
        ),
        PushRefusal::StoreFull => (
            ProblemType::StoreFull,
            "the broker's disk is full: no messages are accepted until space is freed; receive and settle messages, or \
             enlarge the volume"
                .into(),
        ),
        PushRefusal::RelayFull => (
            ProblemType::Busy,
            "too many messages are still on their way to the other channels of this destination; try again".into(),
        ),
        PushRefusal::DiskShare { entry, stored, left } => (
            ProblemType::StoreFull,
            format!(
                "{} reached its share of the volume: it stores {stored} bytes, and the remaining {left} bytes are \
                 reserved for other channels; receive and settle its messages, or enlarge the volume",
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
            "the message with its kept headers has {bytes} bytes, which exceeds what {} holds in total: {} bytes \
             (limits.bytes); send less, or raise the limit",
            entry.config.qualified_name(),
            entry.config.limits.bytes
        ),
        SizeLimit::Segment(max) => format!(
            "the message takes {bytes} bytes on disk, which exceeds a segment of the log: {max} bytes \
             (--segment-size); send less, or raise the limit"
        ),
    }
}

/// The message could be stored, but it is too large for any answer.
pub(super) fn beyond_answers(bytes: u64, max: u64) -> HttpError {
    let detail = format!(
        "the message with its kept headers has {bytes} bytes, which exceeds what one answer to a receiver can take: \
         {max} bytes (--answer-memory); send less, or raise the limit"
    );
    HttpError::new(ProblemType::MessageTooLarge, detail)
}

fn full(fullness: &Fullness) -> String {
    let Fullness { entry, messages: [ready, leased, delayed, dead], bytes, waiting_senders } = fullness;
    let limits = &entry.config.limits;
    let name = entry.config.qualified_name();
    let waiting = if *waiting_senders > 0 {
        format!("; {waiting_senders} senders are already waiting for room")
    } else {
        String::new()
    };
    format!(
        "{name} is full: {ready} ready, {leased} leased, {delayed} delayed and {dead} dead messages with {bytes} \
         bytes, of at most {} messages and {} bytes (limits){waiting}; send again later, or with Prefer: wait=20",
        limits.messages, limits.bytes
    )
}

impl From<ShardGone> for HttpError {
    fn from(_: ShardGone) -> Self {
        draining()
    }
}

pub(super) fn receive(channel: &str, refusal: ReceiveRefusal) -> HttpError {
    match refusal {
        ReceiveRefusal::Pull(refusal) => pull(channel, refusal),
        ReceiveRefusal::AttemptRepeated => {
            let detail = "a repeat with the same Receive-Attempt-Id took the place of this pull while it waited; read \
                          the repeat's answer";
            HttpError::new(ProblemType::AttemptRepeated, detail)
        }
        ReceiveRefusal::AttemptUnreadable => {
            let detail = "the broker's disk can no longer read the messages of this Receive-Attempt-Id, but their \
                          leases continue; settle, release or reject them by the first answer's Location, or use \
                          another id";
            HttpError::new(ProblemType::AttemptUnreadable, detail)
        }
    }
}

fn pull(channel: &str, refusal: PullRefusal) -> HttpError {
    match refusal {
        PullRefusal::Closed => {
            let detail = format!(
                "{channel} no longer delivers messages at this address: it was deleted, removed from the set of \
                 channels, or given another source"
            );
            HttpError::new(ProblemType::AddressUnknown, detail)
        }
        PullRefusal::TooManyReceivers { max } => {
            let detail = format!(
                "the limit of {max} receivers waiting on {channel} is reached, by this client or by all \
                 (--waiting-receivers-max); try again later"
            );
            HttpError::new(ProblemType::TooManyReceivers, detail)
        }
        PullRefusal::NoMemory => busy(),
        PullRefusal::OtherForm => {
            let detail = "this Receive-Attempt-Id belongs to a different pull that still waits or still has its \
                          messages; repeat that pull with the same path, max and lease, or use another id";
            HttpError::new(ProblemType::AttemptMismatch, detail)
        }
        PullRefusal::StoreFull => {
            let detail = "the broker's disk is full: there is no room to record a lease until leased messages are \
                          settled; try again, or enlarge the volume";
            HttpError::new(ProblemType::StoreFull, detail)
        }
        PullRefusal::StoreFailed => store_failed(),
        PullRefusal::Gone => draining(),
    }
}

/// The answer to a refused settle, release, reject or renewal.
pub(super) fn settle(refusal: SettleRefusal) -> HttpError {
    let refusal = match refusal {
        SettleRefusal::Lease(refusal) => refusal,
        SettleRefusal::StoreFull => {
            let detail = "the broker's disk is full: there is no room to record this request; try again, settle \
                          messages, or enlarge the volume";
            return HttpError::new(ProblemType::StoreFull, detail);
        }
        SettleRefusal::StoreFailed => return store_failed(),
        SettleRefusal::Gone => return draining(),
        SettleRefusal::ChannelDeleted => {
            let detail = "the channel of this lease was deleted with its messages; drop the lease";
            return HttpError::new(ProblemType::ChannelDeleted, detail);
        }
        SettleRefusal::DelayTooLong { max_seconds } => {
            let detail = format!(
                "the delay exceeds the channel's maximum of {max_seconds} s (limits.maxDelaySeconds); give a shorter \
                 one, or raise the limit"
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

/// The token was not sealed with the key of this data folder.
pub(super) fn lease_unknown() -> HttpError {
    let detail = "the lease is unknown: this broker did not issue the token; use the path in the Location of the \
                  message's answer, unchanged";
    HttpError::new(ProblemType::LeaseUnknown, detail)
}

/// No channel has the address, or the address store is not programmed yet, so that this is not known.
pub(super) fn unknown(service: &Service, address: &Address, reason: &str) -> HttpError {
    if !service.store.is_programmed() {
        let detail = "the broker has not received any channel configuration yet (from its operator or --manifests); \
                      try again";
        return HttpError::new(ProblemType::NotProgrammed, detail);
    }
    let detail = format!(
        "{reason} {address}; check the spelling, and that the MessageChannel exists in namespace {} and is Ready",
        address.namespace()
    );
    HttpError::new(ProblemType::AddressUnknown, detail)
}

/// The address exists, but only on the other side.
pub(super) fn one_sided(address: &Address, reason: &str) -> HttpError {
    HttpError::new(ProblemType::AddressUnknown, format!("{address} is {reason}"))
}

pub(super) fn draining() -> HttpError {
    let detail = "the broker is shutting down; send the request again, over a new connection";
    HttpError::new(ProblemType::Draining, detail)
}

/// The memory limit of answers is reached.
pub(super) fn busy() -> HttpError {
    let detail =
        "the memory limit of answers is reached, by this client or by all (--answer-memory); try again";
    HttpError::new(ProblemType::Busy, detail)
}

/// The disk failed. Recovery at the next start decides what was stored.
pub(super) fn store_failed() -> HttpError {
    HttpError::new(ProblemType::StoreFailed, StoreFailed.to_string())
}
