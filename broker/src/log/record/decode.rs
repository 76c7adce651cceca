//! Decoding of records.

use bytes::Buf;

use super::{
    CHANNEL, CHANNEL_CLOSED, CLOCK, ChannelId, Ended, Idempotency, KEY, LEASE, MESSAGE, MovedFrom,
    PARCEL_DELIVERED, PARCEL_FLOOR, ParcelId, ParcelNumber, REMOVED, Record, RecordError, RecordedPhase,
    RemovalCause, STATE, Target, Targets, flag,
    head::{CHECKSUM_BYTES, RecordExtent},
    phase,
};

/// Bytes of the length field.
const LENGTH_BYTES: usize = 4;

impl<'a> Record<'a> {
    /// Decodes the record at the start of these bytes. Returns the number of bytes that it takes.
    pub fn decode_first(bytes: &'a [u8]) -> Result<(Self, usize), RecordError> {
        let (length, rest) = split_length(bytes)?;
        let mut left = rest.get(..length).ok_or(RecordError::Truncated)?;
        let kind = left.first().copied().unwrap_or_default();
        let (mut record, headers_bytes, _) = fields(&mut left)?;
        if let Self::Message { headers, body, .. } = &mut record {
            *headers = take(&mut left, headers_bytes)?;
            *body = std::mem::take(&mut left);
        }
        match left.len() {
            0 => Ok((record, LENGTH_BYTES + length)),
            bytes => Err(RecordError::TooLong { kind, bytes }),
        }
    }

    /// Decodes a record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::decode_first(bytes).map(|(record, _)| record)
    }
}

/// Decodes the head at the start of these bytes. Also returns the number of content bytes, and where the head and the
/// record end.
pub(super) fn head(bytes: &[u8]) -> Result<(Record<'_>, usize, RecordExtent), RecordError> {
    let (length, rest) = split_length(bytes)?;
    let there = &rest[..length.min(rest.len())];
    let mut left = there;
    let (record, headers_bytes, checksum) = fields(&mut left)?;
    let head = there.len() - left.len();
    let content_bytes = length - head;
    let has_content = matches!(record, Record::Message { .. });
    if headers_bytes > content_bytes || (!has_content && there.len() < length) {
        return Err(RecordError::Truncated);
    }
    if !has_content && content_bytes > 0 {
        return Err(RecordError::TooLong { kind: there[0], bytes: content_bytes });
    }
    let extent = RecordExtent {
        head: LENGTH_BYTES + head,
        record: LENGTH_BYTES + length,
        checksum: checksum.map(|left| LENGTH_BYTES + there.len() - left),
    };
    Ok((record, content_bytes, extent))
}

/// The length of a record, and the bytes after the length field.
fn split_length(bytes: &[u8]) -> Result<(usize, &[u8]), RecordError> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(RecordError::Truncated)?;
    Ok((u32::from_le_bytes(*length) as usize, rest))
}

/// Decodes the fields before the content, including the length of the headers. The last value is the number of bytes
/// that are left at the start of the checksum, if there is one.
fn fields<'a>(from: &mut &'a [u8]) -> Result<(Record<'a>, usize, Option<usize>), RecordError> {
    let kind = get(from, Buf::try_get_u8)?;
    let (mut headers_bytes, mut checksum) = (0, None);
    let record = match kind {
        LEASE => Record::Lease {
            channel: channel(from)?,
            sequence: get(from, Buf::try_get_u64_le)?,
            delivery: get(from, Buf::try_get_u32_le)?,
            uncounted: get(from, Buf::try_get_u32_le)?,
            start: get(from, Buf::try_get_u64_le)?,
            ends_ms: get(from, Buf::try_get_u64_le)?,
        },
        REMOVED => Record::Removed {
            channel: channel(from)?,
            sequence: get(from, Buf::try_get_u64_le)?,
            cause: removal_cause(from)?,
        },
        PARCEL_DELIVERED => Record::ParcelDelivered { parcel: parcel_id(from)? },
        PARCEL_FLOOR => {
            let ParcelId { shard, number: floor } = parcel_id(from)?;
            Record::ParcelFloor { shard, floor }
        }
        MESSAGE => {
            let (message, left) = message(from)?;
            headers_bytes = get(from, Buf::try_get_u32_le)? as usize;
            checksum = left;
            message
        }
        STATE => Record::State {
            channel: channel(from)?,
            sequence: get(from, Buf::try_get_u64_le)?,
            delivery: get(from, Buf::try_get_u32_le)?,
            uncounted: get(from, Buf::try_get_u32_le)?,
            start: get(from, Buf::try_get_u64_le)?,
            expires_ms: Some(get(from, Buf::try_get_u64_le)?).filter(|expires| *expires != 0),
            phase: recorded_phase(from)?,
        },
        KEY => {
            let channel = channel(from)?;
            let (hash, fingerprint) = (get(from, Buf::try_get_u128_le)?, get(from, Buf::try_get_u128_le)?);
            let message_id = get(from, Buf::try_get_u128_le)?;
            let expires_ms = get(from, Buf::try_get_u64_le)?;
            let idempotency = Idempotency { hash, fingerprint, expires_ms };
            Record::Key { channel, idempotency, message_id }
        }
        CHANNEL => Record::Channel {
            channel: channel(from)?,
            uid: get(from, Buf::try_get_u128_le)?,
            next_sequence: get(from, Buf::try_get_u64_le)?,
            namespace: short_text(from, kind)?,
            name: short_text(from, kind)?,
        },
        CHANNEL_CLOSED => {
            Record::ChannelClosed { channel: channel(from)?, uid: get(from, Buf::try_get_u128_le)? }
        }
        CLOCK => Record::Clock {
            own_ms: get(from, Buf::try_get_u64_le)?,
            wall_ms: get(from, Buf::try_get_u64_le)?,
            latest_ms: get(from, Buf::try_get_u64_le)?,
            boot_id: get(from, Buf::try_get_u128_le)?,
            boot_ns: get(from, Buf::try_get_u64_le)?,
        },
        kind => return Err(RecordError::UnknownKind(kind)),
    };
    Ok((record, headers_bytes, checksum))
}

fn channel(from: &mut &[u8]) -> Result<ChannelId, RecordError> {
    get(from, Buf::try_get_u64_le).map(ChannelId)
}

fn parcel_id(from: &mut &[u8]) -> Result<ParcelId, RecordError> {
    Ok(ParcelId { shard: get(from, Buf::try_get_u32_le)?, number: parcel_number(from)? })
}

fn parcel_number(from: &mut &[u8]) -> Result<ParcelNumber, RecordError> {
    Ok(ParcelNumber { epoch: get(from, Buf::try_get_u64_le)?, count: get(from, Buf::try_get_u64_le)? })
}

fn removal_cause(from: &mut &[u8]) -> Result<RemovalCause, RecordError> {
    match get(from, Buf::try_get_u8)? {
        1 => Ok(RemovalCause::Settled),
        2 => Ok(RemovalCause::Expired),
        3 => Ok(RemovalCause::Dropped),
        4 => Ok(RemovalCause::Purged),
        5 => Ok(RemovalCause::Moved),
        flag => Err(RecordError::UnknownFlag { kind: REMOVED, flag }),
    }
}

/// A message up to the length of its headers, and the number of bytes that are left at the start of its checksum.
fn message<'a>(from: &mut &'a [u8]) -> Result<(Record<'a>, Option<usize>), RecordError> {
    let count = usize::from(get(from, Buf::try_get_u8)?);
    if count == 0 {
        return Err(RecordError::UnknownFlag { kind: MESSAGE, flag: 0 });
    }
    let targets = Targets::new(take(from, count * Target::BYTES)?);
    let message_id = get(from, Buf::try_get_u128_le)?;
    let enqueued_ms = get(from, Buf::try_get_u64_le)?;
    let flags = get(from, Buf::try_get_u8)?;
    let is_from_two = flags & flag::MOVED != 0 && flags & flag::COPY != 0;
    if flags & !flag::ALL != 0 || is_from_two {
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
        group = Some(short_text(from, MESSAGE)?);
    }
    let parcel = if flags & flag::PARCEL != 0 { Some(parcel_id(from)?) } else { None };
    let mut moved_from = None;
    if flags & flag::MOVED != 0 {
        let (channel, sequence) = (channel(from)?, get(from, Buf::try_get_u64_le)?);
        moved_from = Some(MovedFrom::Channel { channel, sequence });
    }
    if flags & flag::COPY != 0 {
        moved_from = Some(MovedFrom::Parcel { parcel: parcel_id(from)?, floor: parcel_number(from)? });
    }
    if flags & flag::CHECKSUM == 0 {
        return Err(RecordError::NoChecksum);
    }
    let checksum = from.len();
    take(from, CHECKSUM_BYTES)?;
    let message = Record::Message {
        targets,
        parcel,
        message_id,
        enqueued_ms,
        idempotency,
        due_ms,
        group,
        moved_from,
        headers: &[],
        body: &[],
    };
    Ok((message, Some(checksum)))
}

/// The last field of a state. Its reason extends to the end of the record.
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

fn take<'a>(from: &mut &'a [u8], bytes: usize) -> Result<&'a [u8], RecordError> {
    let (taken, rest) = from.split_at_checked(bytes).ok_or(RecordError::Truncated)?;
    *from = rest;
    Ok(taken)
}

/// A text of at most 255 bytes, after its length.
fn short_text<'a>(from: &mut &'a [u8], kind: u8) -> Result<&'a str, RecordError> {
    let length = usize::from(get(from, Buf::try_get_u8)?);
    text(take(from, length)?, kind)
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
