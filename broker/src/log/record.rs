//! The records of a log, byte by byte: shared by every kind of log.
//!
//! A record is a `u32` length of what follows, one kind byte, and the kind's fields in the order below; all numbers are
//! little-endian. A kind that this version does not know is an error, because a newer version wrote it and meant
//! something by it; so are a flag that it does not know, and bytes after the last field. What a later version adds is
//! therefore a new kind.
//!
//! | kind | fields |
//! |---|---|
//! | 1 push | channel `u32`, sequence `u64`, message id `u128`, enqueued ms `u64`, flags `u8` (1: a key follows), [key hash `u128`, key expires ms `u64`], headers length `u32`, headers, body to the end |
//! | 2 lease | channel `u32`, sequence `u64`, delivery `u32`, uncounted `u32`, start `u64`, ends ms `u64` |
//! | 3 release | channel `u32`, sequence `u64`, delivery `u32`, counted `u8` |
//! | 4 settle | channel `u32`, sequence `u64` |
//! | 5 idempotency key | channel `u32`, key hash `u128`, message id `u128`, sequence `u64`, expires ms `u64` |

use bytes::{Buf, BufMut};

/// The most bytes that a record adds to its headers and body.
pub const RECORD_OVERHEAD_MAX: usize = 4 + 1 + 4 + 8 + 16 + 8 + 1 + 16 + 8 + 4;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// A message was stored.
    Push {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
        /// Its id.
        message_id: u128,
        /// When it was stored.
        enqueued_ms: u64,
        /// The key under which a repeat is recognised.
        idempotency: Option<Idempotency>,
        /// Its kept headers, encoded by the owner of the log.
        headers: &'a [u8],
        /// Its content.
        body: &'a [u8],
    },
    /// A message was handed out, or its lease was renewed.
    Lease {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
        /// Which hand-out this is.
        delivery: u32,
        /// How many hand-outs before this one do not count as deliveries.
        uncounted: u32,
        /// Which start of the broker handed it out.
        start: u64,
        /// When the lease ends.
        ends_ms: u64,
    },
    /// A message was given back.
    Release {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
        /// The hand-out that ended.
        delivery: u32,
        /// Whether that hand-out counts as a delivery.
        counted: bool,
    },
    /// A message is done with.
    Settle {
        /// The number of its channel.
        channel: u32,
        /// Its place in the channel.
        sequence: u64,
    },
    /// A key whose message is gone from the log.
    IdempotencyKey {
        /// The number of the message's channel.
        channel: u32,
        /// The key.
        hash: u128,
        /// The id that its first push was answered with.
        message_id: u128,
        /// The message's place in the channel.
        sequence: u64,
        /// When the key is forgotten.
        expires_ms: u64,
    },
}

/// A key under which a push is recognised when it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// 128 bits of a hash of the key in its scope.
    pub hash: u128,
    /// When the key is forgotten.
    pub expires_ms: u64,
}

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A kind that this version does not know.
    #[error("a record of kind {0} is unknown to this version: a newer one wrote it, so run that")]
    UnknownKind(u8),
    /// A flag that this version does not know.
    #[error(
        "a record of kind {kind} has a flag {flag}, which is unknown to this version: a newer one wrote it, so run that"
    )]
    UnknownFlag {
        /// The record's kind.
        kind: u8,
        /// The flag.
        flag: u8,
    },
    /// A record that goes on after its last field.
    #[error(
        "a record of kind {kind} goes on after its last field for {bytes} bytes: a newer version wrote it, so run that"
    )]
    TooLong {
        /// The record's kind.
        kind: u8,
        /// Bytes that are too many.
        bytes: usize,
    },
    /// A record that ends in the middle of a field.
    #[error("a record ends early")]
    Truncated,
}

const PUSH: u8 = 1;
const LEASE: u8 = 2;
const RELEASE: u8 = 3;
const SETTLE: u8 = 4;
const IDEMPOTENCY_KEY: u8 = 5;

impl<'a> Record<'a> {
    /// Bytes of the record in the log.
    pub fn encoded_len(&self) -> usize {
        4 + 1
            + match self {
                Self::Push { idempotency, headers, body, .. } => {
                    let key = if idempotency.is_some() { 16 + 8 } else { 0 };
                    4 + 8 + 16 + 8 + 1 + key + 4 + headers.len() + body.len()
                }
                Self::Lease { .. } => 4 + 8 + 4 + 4 + 8 + 8,
                Self::Release { .. } => 4 + 8 + 4 + 1,
                Self::Settle { .. } => 4 + 8,
                Self::IdempotencyKey { .. } => 4 + 16 + 16 + 8 + 8,
            }
    }

    /// Appends the record's bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        to.put_u32_le((self.encoded_len() - 4) as u32);
        match *self {
            Self::Push { channel, sequence, message_id, enqueued_ms, idempotency, headers, body } => {
                to.put_u8(PUSH);
                to.put_u32_le(channel);
                to.put_u64_le(sequence);
                to.put_u128_le(message_id);
                to.put_u64_le(enqueued_ms);
                to.put_u8(u8::from(idempotency.is_some()));
                if let Some(Idempotency { hash, expires_ms }) = idempotency {
                    to.put_u128_le(hash);
                    to.put_u64_le(expires_ms);
                }
                to.put_u32_le(headers.len() as u32);
                to.put_slice(headers);
                to.put_slice(body);
            }
            Self::Lease { channel, sequence, delivery, uncounted, start, ends_ms } => {
                to.put_u8(LEASE);
                to.put_u32_le(channel);
                to.put_u64_le(sequence);
                to.put_u32_le(delivery);
                to.put_u32_le(uncounted);
                to.put_u64_le(start);
                to.put_u64_le(ends_ms);
            }
            Self::Release { channel, sequence, delivery, counted } => {
                to.put_u8(RELEASE);
                to.put_u32_le(channel);
                to.put_u64_le(sequence);
                to.put_u32_le(delivery);
                to.put_u8(u8::from(counted));
            }
            Self::Settle { channel, sequence } => {
                to.put_u8(SETTLE);
                to.put_u32_le(channel);
                to.put_u64_le(sequence);
            }
            Self::IdempotencyKey { channel, hash, message_id, sequence, expires_ms } => {
                to.put_u8(IDEMPOTENCY_KEY);
                to.put_u32_le(channel);
                to.put_u128_le(hash);
                to.put_u128_le(message_id);
                to.put_u64_le(sequence);
                to.put_u64_le(expires_ms);
            }
        }
    }

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
                        expires_ms: get(from, Buf::try_get_u64_le)?,
                    })
                } else {
                    None
                };
                let headers = get(from, Buf::try_get_u32_le)? as usize;
                let (headers, body) = from.split_at_checked(headers).ok_or(RecordError::Truncated)?;
                *from = &[];
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
            kind => return Err(RecordError::UnknownKind(kind)),
        };
        match bytes.len() {
            0 => Ok(record),
            bytes => Err(RecordError::TooLong { kind, bytes }),
        }
    }
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

#[cfg(test)]
mod tests;
