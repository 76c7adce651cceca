//! Every record reads as it was written, and nothing else reads at all.

use proptest::prelude::*;

use super::*;

/// One of each kind, of the fields' widest values that differ from each other.
fn each_kind() -> [Record<'static>; 6] {
    let (channel, sequence) = (0xfffe_fdfc, 0xfbfa_f9f8_f7f6_f5f4);
    let (message_id, enqueued_ms, expires_ms) = (u128::MAX - 1, u64::MAX - 2, u64::MAX - 3);
    let push = |idempotency, headers, body| Record::Push {
        channel,
        sequence,
        message_id,
        enqueued_ms,
        idempotency,
        headers,
        body,
    };
    [
        push(Some(Idempotency { hash: u128::MAX - 4, expires_ms }), b"headers", b"body"),
        push(None, b"", b""),
        Record::Lease {
            channel,
            sequence,
            delivery: 5,
            uncounted: 4,
            start: u64::MAX - 6,
            ends_ms: u64::MAX - 7,
        },
        Record::Release { channel, sequence, delivery: 5, counted: true },
        Record::Settle { channel, sequence },
        Record::IdempotencyKey { channel, hash: u128::MAX - 8, message_id, sequence, expires_ms },
    ]
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

#[test]
fn each_kind_reads_as_it_was_written_and_is_as_long_as_it_says() {
    for record in each_kind() {
        let bytes = encoded(&record);
        assert_eq!(bytes.len(), record.encoded_len());
        assert_eq!(Record::decode_first(&bytes), Ok((record, bytes.len())));
    }
}

#[test]
fn a_settle_has_the_bytes_that_the_table_says() {
    let bytes = encoded(&Record::Settle { channel: 0x0403_0201, sequence: 0x0c0b_0a09_0807_0605 });
    assert_eq!(bytes, [13, 0, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
}

#[test]
fn no_record_adds_more_than_the_overhead_that_callers_reckon_with() {
    let overhead = each_kind().map(|record| match record {
        Record::Push { headers, body, .. } => record.encoded_len() - headers.len() - body.len(),
        other => other.encoded_len(),
    });
    assert_eq!(overhead.into_iter().max(), Some(RECORD_OVERHEAD_MAX));
}

#[test]
fn a_record_that_ends_early_is_none_wherever_it_ends() {
    for record in each_kind() {
        let bytes = encoded(&record);
        for end in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..end]), Err(RecordError::Truncated), "{record:?} up to {end}");
        }
    }
}

#[test]
fn a_kind_of_a_newer_version_is_named() {
    let error = Record::decode(&[3, 0, 0, 0, 77, 1, 2]).unwrap_err();
    assert_eq!(error, RecordError::UnknownKind(77));
    assert!(error.to_string().contains("77"));
}

#[test]
fn a_flag_of_a_newer_version_is_an_error() {
    let mut bytes = encoded(&Record::Release { channel: 1, sequence: 2, delivery: 3, counted: true });
    *bytes.last_mut().unwrap() = 2;
    assert_eq!(Record::decode(&bytes), Err(RecordError::UnknownFlag { kind: 3, flag: 2 }));
}

#[test]
fn a_field_of_a_newer_version_is_an_error() {
    for record in &each_kind()[2..] {
        let mut bytes = encoded(record);
        let kind = bytes[4];
        bytes[0] += 1;
        bytes.push(9);
        assert_eq!(Record::decode(&bytes), Err(RecordError::TooLong { kind, bytes: 1 }));
    }
}

proptest! {
    #[test]
    fn any_push_reads_as_it_was_written_among_others(
        headers in prop::collection::vec(any::<u8>(), 0..100),
        body in prop::collection::vec(any::<u8>(), 0..1000),
        key in proptest::option::of((any::<u128>(), any::<u64>())),
        numbers in any::<(u32, u64, u128, u64)>(),
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let (channel, sequence, message_id, enqueued_ms) = numbers;
        let idempotency = key.map(|(hash, expires_ms)| Idempotency { hash, expires_ms });
        let record = Record::Push {
            channel, sequence, message_id, enqueued_ms, idempotency, headers: &headers, body: &body,
        };
        let mut bytes = encoded(&record);
        let length = bytes.len();
        bytes.extend(after);
        prop_assert_eq!(Record::decode_first(&bytes), Ok((record, length)));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..8_u8) {
        let mut framed = ((bytes.len() + 1) as u32).to_le_bytes().to_vec();
        framed.push(kind);
        framed.extend(&bytes);
        if let Ok((record, length)) = Record::decode_first(&framed) {
            // What reads at all is written in one way only.
            prop_assert_eq!(encoded(&record), &framed[..length]);
        }
        let _ = Record::decode_first(&bytes);
    }
}
