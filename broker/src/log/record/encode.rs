//! Encoding of records.

use bytes::BufMut;

use super::{
    CHANNEL, CHANNEL_CLOSED, CLOCK, Ended, Idempotency, KEY, LEASE, MESSAGE, MovedFrom, PARCEL_DELIVERED,
    PARCEL_FLOOR, ParcelId, ParcelNumber, REMOVED, Record, RecordedPhase, RemovalCause, STATE, Target, flag,
    head::{CHECKSUM_BYTES, checksum},
    phase,
};

/// Bytes of a parcel's number.
const NUMBER_BYTES: usize = 8 + 8;
/// Bytes of a parcel's id.
const PARCEL_BYTES: usize = 4 + NUMBER_BYTES;

impl Record<'_> {
    /// Bytes of the encoded record.
    pub fn encoded_len(&self) -> usize {
        4 + 1
            + match self {
                Self::Lease { .. } => 8 + 8 + 4 + 4 + 8 + 8,
                Self::Removed { .. } => 8 + 8 + 1,
                Self::ParcelDelivered { .. } => PARCEL_BYTES,
                Self::ParcelFloor { .. } => PARCEL_BYTES,
                Self::Message {
                    targets,
                    parcel,
                    idempotency,
                    due_ms,
                    group,
                    moved_from,
                    headers,
                    body,
                    ..
                } => {
                    let key = if idempotency.is_some() { 16 + 16 + 8 } else { 0 };
                    let due = if due_ms.is_some() { 8 } else { 0 };
                    let group = group.map_or(0, |group| 1 + group.len());
                    let parcel = if parcel.is_some() { PARCEL_BYTES } else { 0 };
                    let moved = match moved_from {
                        None => 0,
                        Some(MovedFrom::Channel { .. }) => 8 + 8,
                        Some(MovedFrom::Parcel { .. }) => PARCEL_BYTES + NUMBER_BYTES,
                    };
                    let fixed = 1 + targets.count() * Target::BYTES + 16 + 8 + 1;
                    fixed
                        + parcel
                        + key
                        + due
                        + group
                        + moved
                        + CHECKSUM_BYTES
                        + 4
                        + headers.len()
                        + body.len()
                }
                Self::State { phase, .. } => {
                    let reason =
                        if let RecordedPhase::Dead { reason, .. } = phase { reason.len() } else { 0 };
                    8 + 8 + 4 + 4 + 8 + 8 + 1 + 1 + 8 + 1 + reason
                }
                Self::Key { .. } => 8 + 16 + 16 + 16 + 8,
                Self::Channel { namespace, name, .. } => 8 + 16 + 8 + 1 + namespace.len() + 1 + name.len(),
                Self::ChannelClosed { .. } => 8 + 16,
                Self::Clock { .. } => 8 + 8 + 8 + 16 + 8,
            }
    }

    /// Appends the encoded record.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let start = to.len();
        to.put_u32_le((self.encoded_len() - 4) as u32);
        match *self {
            Self::Lease { channel, sequence, delivery, uncounted, start, ends_ms } => {
                to.put_u8(LEASE);
                to.put_u64_le(channel.0);
                to.put_u64_le(sequence);
                to.put_u32_le(delivery);
                to.put_u32_le(uncounted);
                to.put_u64_le(start);
                to.put_u64_le(ends_ms);
            }
            Self::Removed { channel, sequence, cause } => {
                to.put_u8(REMOVED);
                to.put_u64_le(channel.0);
                to.put_u64_le(sequence);
                to.put_u8(match cause {
                    RemovalCause::Settled => 1,
                    RemovalCause::Expired => 2,
                    RemovalCause::Dropped => 3,
                    RemovalCause::Purged => 4,
                    RemovalCause::Moved => 5,
                });
            }
            Self::ParcelDelivered { parcel } => {
                to.put_u8(PARCEL_DELIVERED);
                encode_parcel(parcel, to);
            }
            Self::ParcelFloor { shard, floor } => {
                to.put_u8(PARCEL_FLOOR);
                encode_parcel(ParcelId { shard, number: floor }, to);
            }
            Self::Message {
                targets,
                parcel,
                message_id,
                enqueued_ms,
                idempotency,
                due_ms,
                group,
                moved_from,
                headers,
                body,
            } => {
                to.put_u8(MESSAGE);
                to.put_u8(targets.count() as u8);
                to.put_slice(targets.bytes());
                to.put_u128_le(message_id);
                to.put_u64_le(enqueued_ms);
                let flag_if = |flag, is_set| if is_set { flag } else { 0 };
                to.put_u8(
                    flag_if(flag::KEY, idempotency.is_some())
                        | flag_if(flag::DUE, due_ms.is_some())
                        | flag_if(flag::GROUP, group.is_some())
                        | flag_if(flag::PARCEL, parcel.is_some())
                        | match moved_from {
                            None => 0,
                            Some(MovedFrom::Channel { .. }) => flag::MOVED,
                            Some(MovedFrom::Parcel { .. }) => flag::COPY,
                        }
                        | flag::CHECKSUM,
                );
                if let Some(Idempotency { hash, fingerprint, expires_ms }) = idempotency {
                    to.put_u128_le(hash);
                    to.put_u128_le(fingerprint);
                    to.put_u64_le(expires_ms);
                }
                if let Some(due) = due_ms {
                    to.put_u64_le(due);
                }
                if let Some(group) = group {
                    to.put_u8(group.len() as u8);
                    to.put_slice(group.as_bytes());
                }
                if let Some(parcel) = parcel {
                    encode_parcel(parcel, to);
                }
                match moved_from {
                    None => {}
                    Some(MovedFrom::Channel { channel, sequence }) => {
                        to.put_u64_le(channel.0);
                        to.put_u64_le(sequence);
                    }
                    Some(MovedFrom::Parcel { parcel, floor }) => {
                        encode_parcel(parcel, to);
                        encode_number(floor, to);
                    }
                }
                let at = to.len() - start;
                to.put_bytes(0, CHECKSUM_BYTES);
                to.put_u32_le(headers.len() as u32);
                to.put_slice(headers);
                to.put_slice(body);
                let record = &mut to[start..];
                let checksum = checksum(record, at);
                record[at..at + CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
            }
            Self::State { channel, sequence, delivery, uncounted, start, expires_ms, phase } => {
                to.put_u8(STATE);
                to.put_u64_le(channel.0);
                to.put_u64_le(sequence);
                to.put_u32_le(delivery);
                to.put_u32_le(uncounted);
                to.put_u64_le(start);
                to.put_u64_le(expires_ms.unwrap_or(0));
                encode_phase(phase, to);
            }
            Self::Key { channel, idempotency: Idempotency { hash, fingerprint, expires_ms }, message_id } => {
                to.put_u8(KEY);
                to.put_u64_le(channel.0);
                to.put_u128_le(hash);
                to.put_u128_le(fingerprint);
                to.put_u128_le(message_id);
                to.put_u64_le(expires_ms);
            }
            Self::Channel { channel, uid, next_sequence, namespace, name } => {
                to.put_u8(CHANNEL);
                to.put_u64_le(channel.0);
                to.put_u128_le(uid);
                to.put_u64_le(next_sequence);
                for text in [namespace, name] {
                    to.put_u8(text.len() as u8);
                    to.put_slice(text.as_bytes());
                }
            }
            Self::ChannelClosed { channel, uid } => {
                to.put_u8(CHANNEL_CLOSED);
                to.put_u64_le(channel.0);
                to.put_u128_le(uid);
            }
            Self::Clock { own_ms, wall_ms, latest_ms, boot_id, boot_ns } => {
                to.put_u8(CLOCK);
                to.put_u64_le(own_ms);
                to.put_u64_le(wall_ms);
                to.put_u64_le(latest_ms);
                to.put_u128_le(boot_id);
                to.put_u64_le(boot_ns);
            }
        }
    }
}

fn encode_parcel(ParcelId { shard, number }: ParcelId, to: &mut Vec<u8>) {
    to.put_u32_le(shard);
    encode_number(number, to);
}

fn encode_number(ParcelNumber { epoch, count }: ParcelNumber, to: &mut Vec<u8>) {
    to.put_u64_le(epoch);
    to.put_u64_le(count);
}

fn encode_phase(phase: RecordedPhase<'_>, to: &mut Vec<u8>) {
    let (number, ended, at_ms, cause, reason) = match phase {
        RecordedPhase::Ready(ended) => (phase::READY, ended, 0, 0, ""),
        RecordedPhase::Delayed { until_ms, ended } => (phase::DELAYED, ended, until_ms, 0, ""),
        RecordedPhase::Leased { ends_ms } => (phase::LEASED, Ended::Never, ends_ms, 0, ""),
        RecordedPhase::Dead { since_ms, cause, reason } => {
            (phase::DEAD, Ended::Never, since_ms, cause, reason)
        }
    };
    to.put_u8(number);
    to.put_u8(match ended {
        Ended::Never => 0,
        Ended::Released => 1,
        Ended::Expired => 2,
    });
    to.put_u64_le(at_ms);
    to.put_u8(cause);
    to.put_slice(reason.as_bytes());
}
