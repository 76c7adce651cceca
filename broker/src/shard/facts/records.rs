//! Conversion between messages in their channels and records in the log.

use restante_wire::DeadLetterCause;

use crate::{
    channel::{DeadLetter, Ended, Granted, LeaseCounts, MessageState, Phase, Sequence},
    clock::{Mark, Wall},
    log::{self, ChannelId, Record, RecordedPhase},
};

pub(in crate::shard) fn lease(channel: ChannelId, granted: &Granted) -> Record<'static> {
    Record::Lease {
        channel,
        sequence: granted.sequence,
        delivery: granted.lease_counts.last,
        uncounted: granted.lease_counts.uncounted,
        start: granted.lease_counts.start,
        ends_ms: granted.ends_at,
    }
}

/// A message's state record.
pub(in crate::shard) fn state(channel: ChannelId, sequence: Sequence, state: &MessageState) -> Record<'_> {
    let MessageState { lease_counts: LeaseCounts { last, uncounted, start }, expires_at, phase } = state;
    Record::State {
        channel,
        sequence,
        delivery: *last,
        uncounted: *uncounted,
        start: *start,
        expires_ms: *expires_at,
        phase: match phase {
            Phase::Ready(ended) => RecordedPhase::Ready(record_ended(*ended)),
            Phase::Delayed { until, ended } => {
                RecordedPhase::Delayed { until_ms: *until, ended: record_ended(*ended) }
            }
            Phase::Leased(ends_at) => RecordedPhase::Leased { ends_ms: *ends_at },
            Phase::Dead(DeadLetter { cause, since, reason }) => RecordedPhase::Dead {
                since_ms: *since,
                cause: record_cause(*cause),
                reason: reason.as_deref().unwrap_or(""),
            },
        },
    }
}

/// The phase in a record.
pub(in crate::shard) fn phase(recorded: RecordedPhase<'_>) -> Phase {
    match recorded {
        RecordedPhase::Ready(ended) => Phase::Ready(read_ended(ended)),
        RecordedPhase::Delayed { until_ms, ended } => {
            Phase::Delayed { until: until_ms, ended: read_ended(ended) }
        }
        RecordedPhase::Leased { ends_ms } => Phase::Leased(ends_ms),
        RecordedPhase::Dead { since_ms, cause, reason } => Phase::Dead(DeadLetter {
            cause: read_cause(cause),
            since: since_ms,
            reason: (!reason.is_empty()).then(|| reason.into()),
        }),
    }
}

/// The record of a clock mark.
pub(in crate::shard) fn clock(Mark { own, wall, boot_id, boot_ns }: Mark) -> Record<'static> {
    let (wall_ms, latest_ms) = wall.map_or((0, 0), |wall| (wall.shown, wall.latest));
    Record::Clock { own_ms: own, wall_ms, latest_ms, boot_id, boot_ns }
}

/// The clock mark in a record.
pub(in crate::shard) fn mark(record: &Record<'_>) -> Option<Mark> {
    let Record::Clock { own_ms, wall_ms, latest_ms, boot_id, boot_ns } = *record else { return None };
    let wall = (wall_ms != 0).then_some(Wall { shown: wall_ms, latest: latest_ms });
    Some(Mark { own: own_ms, wall, boot_id, boot_ns })
}

/// A message's phase when it was stored.
pub(in crate::shard) fn first_phase(due_ms: Option<u64>) -> Phase {
    due_ms.map_or(Phase::Ready(None), |until| Phase::Delayed { until, ended: None })
}

fn record_ended(ended: Option<Ended>) -> log::Ended {
    match ended {
        None => log::Ended::Never,
        Some(Ended::Released) => log::Ended::Released,
        Some(Ended::Expired) => log::Ended::Expired,
    }
}

fn read_ended(ended: log::Ended) -> Option<Ended> {
    match ended {
        log::Ended::Never => None,
        log::Ended::Released => Some(Ended::Released),
        log::Ended::Expired => Some(Ended::Expired),
    }
}

fn record_cause(cause: DeadLetterCause) -> u8 {
    match cause {
        DeadLetterCause::MaxDeliveries => 1,
        DeadLetterCause::Rejected => 2,
        DeadLetterCause::Expired => 3,
        DeadLetterCause::Unreadable => 4,
    }
}

/// An unknown cause, of a later version, is read as the most common one: only the wording of an error depends on it.
fn read_cause(cause: u8) -> DeadLetterCause {
    match cause {
        2 => DeadLetterCause::Rejected,
        3 => DeadLetterCause::Expired,
        4 => DeadLetterCause::Unreadable,
        _ => DeadLetterCause::MaxDeliveries,
    }
}
