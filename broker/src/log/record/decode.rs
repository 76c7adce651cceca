//! From bytes to records.

use bytes::Buf;

use super::{
    CHANNEL_KEY, Ended, IDEMPOTENCY_KEY, Idempotency, KEY, LEASE, MESSAGE, PUSH, RELEASE, Record,
    RecordError, RecordedPhase, SETTLE, STATE, Target, Targets, flag, phase,
};

impl<'a> Record<'a> {
    /// The record at the start of some bytes, and how many of them it takes.
    pub fn decode_first(bytes: &'a [u8]) -> Result<(Self, usize), RecordError> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(RecordError::Truncated)?;
        let length = u32::from_le_bytes(*length) as usize;
        let fields = rest.get(..length).ok_or(RecordError::Truncated)?;
        Ok((Self::decode_fields(fields)?, 4 + length))
    }

    /// The record that some bytes are.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::decode_first(bytes).map(|(record, _)| record)
    }

    fn decode_fields(mut bytes: &'a [u8]) -> Result<Self, RecordError> {
        let from = &mut bytes;
        let kind = get(from, Buf::try_get_u8)?;
        let record = match kind {
            PUSH => {
                let channel = get(from, Buf::try_get_u32_le)?;
                let sequence = get(from, Buf::try_get_u64_le)?;
                let message_id = get(from, Buf::try_get_u128_le)?;
                let enqueued_ms = get(from, Buf::try_get_u64_le)?;
                let idempotency = if get_flag(from, kind)? {
                    Some(Idempotency {
                        hash: get(from, Buf::try_get_u128_le)?,
                        fingerprint: 0,
                        expires_ms: get(from, Buf::try_get_u64_le)?,
                    })
                } else {
                    None
                };
                let (headers, body) = headers_and_body(from)?;
                Self::Push { channel, sequence, message_id, enqueued_ms, idempotency, headers, body }
            }
            LEASE => Self::Lease {
                channel: get(from, Buf::try_get_u32_le)?,
                sequence: get(from, Buf::try_get_u64_le)?,
                delivery: get(from, Buf::try_get_u32_le)?,
                uncounted: get(from, Buf::try_get_u32_le)?,
                start: get(from, Buf::try_get_u64_le)?,
                ends_ms: get(from, Buf::try_get_u64_le)?,
            },
            RELEASE => Self::Release {
                channel: get(from, Buf::try_get_u32_le)?,
                sequence: get(from, Buf::try_get_u64_le)?,
                delivery: get(from, Buf::try_get_u32_le)?,
                counted: get_flag(from, kind)?,
            },
            SETTLE => Self::Settle {
                channel: get(from, Buf::try_get_u32_le)?,
                sequence: get(from, Buf::try_get_u64_le)?,
            },
            IDEMPOTENCY_KEY => Self::IdempotencyKey {
                channel: get(from, Buf::try_get_u32_le)?,
                hash: get(from, Buf::try_get_u128_le)?,
                message_id: get(from, Buf::try_get_u128_le)?,
                sequence: get(from, Buf::try_get_u64_le)?,
                expires_ms: get(from, Buf::try_get_u64_le)?,
            },
            MESSAGE => message(from)?,
            STATE => Self::State {
                channel: get(from, Buf::try_get_u32_le)?,
                sequence: get(from, Buf::try_get_u64_le)?,
                delivery: get(from, Buf::try_get_u32_le)?,
                uncounted: get(from, Buf::try_get_u32_le)?,
                start: get(from, Buf::try_get_u64_le)?,
                expires_ms: Some(get(from, Buf::try_get_u64_le)?).filter(|expires| *expires != 0),
                phase: recorded_phase(from)?,
            },
            KEY => {
                let (idempotency, message_id) = key(from)?;
                Self::Key { idempotency, message_id }
            }
            CHANNEL_KEY => {
                let channel = get(from, Buf::try_get_u32_le)?;
                let (idempotency, message_id) = key(from)?;
                Self::ChannelKey { channel, idempotency, message_id }
            }
            kind => return Err(RecordError::UnknownKind(kind)),
        };
        match bytes.len() {
            0 => Ok(record),
            bytes => Err(RecordError::TooLong { kind, bytes }),
        }
    }
}

/// A key, and the id of its message.
fn key(from: &mut &[u8]) -> Result<(Idempotency, u128), RecordError> {
    let (hash, fingerprint) = (get(from, Buf::try_get_u128_le)?, get(from, Buf::try_get_u128_le)?);
    let message_id = get(from, Buf::try_get_u128_le)?;
    let expires_ms = get(from, Buf::try_get_u64_le)?;
    Ok((Idempotency { hash, fingerprint, expires_ms }, message_id))
}

fn message<'a>(from: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    let count = usize::from(get(from, Buf::try_get_u8)?);
    if count == 0 {
        return Err(RecordError::UnknownFlag { kind: MESSAGE, flag: 0 });
    }
    let targets = Targets::new(take(from, count * Target::BYTES)?);
    let message_id = get(from, Buf::try_get_u128_le)?;
    let enqueued_ms = get(from, Buf::try_get_u64_le)?;
    let flags = get(from, Buf::try_get_u8)?;
    if flags & !flag::ALL != 0 {
        return Err(RecordError::UnknownFlag { kind: MESSAGE, flag: flags });
    }
    let mut idempotency = None;
    if flags & flag::KEY != 0 {
        let (hash, fingerprint) = (get(from, Buf::try_get_u128_le)?, get(from, Buf::try_get_u128_le)?);
        idempotency = Some(Idempotency { hash, fingerprint, expires_ms: get(from, Buf::try_get_u64_le)? });
    }
    let due_ms = if flags & flag::DUE != 0 { Some(get(from, Buf::try_get_u64_le)?) } else { None };
    let mut group = None;
    if flags & flag::GROUP != 0 {
        let length = usize::from(get(from, Buf::try_get_u8)?);
        group = Some(text(take(from, length)?, MESSAGE)?);
    }
    let mut moved_from = None;
    if flags & flag::MOVED != 0 {
        moved_from = Some((get(from, Buf::try_get_u32_le)?, get(from, Buf::try_get_u64_le)?));
    }
    let (headers, body) = headers_and_body(from)?;
    Ok(Record::Message {
        targets,
        message_id,
        enqueued_ms,
        idempotency,
        due_ms,
        group,
        moved_from,
        headers,
        body,
    })
}

/// The last field of a state: its reason goes to the end.
fn recorded_phase<'a>(from: &mut &'a [u8]) -> Result<RecordedPhase<'a>, RecordError> {
    let unknown = |flag| RecordError::UnknownFlag { kind: STATE, flag };
    let number = get(from, Buf::try_get_u8)?;
    let ended = match get(from, Buf::try_get_u8)? {
        0 => Ended::Never,
        1 => Ended::Released,
        2 => Ended::Expired,
        flag => return Err(unknown(flag)),
    };
    let at_ms = get(from, Buf::try_get_u64_le)?;
    let cause = get(from, Buf::try_get_u8)?;
    match (number, ended, at_ms, cause) {
        (phase::READY, ended, 0, 0) => Ok(RecordedPhase::Ready(ended)),
        (phase::DELAYED, ended, until_ms, 0) => Ok(RecordedPhase::Delayed { until_ms, ended }),
        (phase::LEASED, Ended::Never, ends_ms, 0) => Ok(RecordedPhase::Leased { ends_ms }),
        (phase::DEAD, Ended::Never, since_ms, cause) => {
            let reason = text(std::mem::take(from), STATE)?;
            Ok(RecordedPhase::Dead { since_ms, cause, reason })
        }
        (flag, ..) => Err(unknown(flag)),
    }
}

fn headers_and_body<'a>(from: &mut &'a [u8]) -> Result<(&'a [u8], &'a [u8]), RecordError> {
    let length = get(from, Buf::try_get_u32_le)? as usize;
    let headers = take(from, length)?;
    Ok((headers, std::mem::take(from)))
}

fn take<'a>(from: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], RecordError> {
    let (taken, rest) = from.split_at_checked(bytes).ok_or(RecordError::Truncated)?;
    *from = rest;
    Ok(taken)
}

fn text(bytes: &[u8], kind: u8) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes).map_err(|_| RecordError::NoText(kind))
}

fn get<'a, T, E>(
    from: &mut &'a [u8],
    read: impl Fn(&mut &'a [u8]) -> Result<T, E>,
) -> Result<T, RecordError> {
    read(from).map_err(|_| RecordError::Truncated)
}

fn get_flag(from: &mut &[u8], kind: u8) -> Result<bool, RecordError> {
    match get(from, Buf::try_get_u8)? {
        0 => Ok(false),
        1 => Ok(true),
        flag => Err(RecordError::UnknownFlag { kind, flag }),
    }
}
