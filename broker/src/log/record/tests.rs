//! Every record survives encoding and decoding, and invalid bytes are rejected.

use proptest::prelude::*;

use super::*;

/// A record of each kind, with the widest field values that differ from each other. Records that end with a field of
/// variable length come first.
fn each_kind() -> Vec<Record<'static>> {
    let (channel, sequence) = (ChannelId(0xfffe_fdfc_1112_1314), 0xfbfa_f9f8_f7f6_f5f4);
    let number = ParcelNumber { epoch: u64::MAX - 22, count: u64::MAX - 20 };
    let parcel = ParcelId { shard: 0xfffe_0102, number };
    let floor = ParcelNumber { epoch: u64::MAX - 23, count: u64::MAX - 24 };
    let (message_id, enqueued_ms, expires_ms) = (u128::MAX - 1, u64::MAX - 2, u64::MAX - 3);
    let (delivery, uncounted, start, ends_ms) = (5, 4, u64::MAX - 6, u64::MAX - 7);
    let key = |fingerprint| Some(Idempotency { hash: u128::MAX - 4, fingerprint, expires_ms });
    let message = |targets, all: bool| Record::Message {
        targets,
        parcel: Some(parcel).filter(|_| all),
        message_id,
        enqueued_ms,
        idempotency: key(u128::MAX - 5).filter(|_| all),
        due_ms: Some(u64::MAX - 8).filter(|_| all),
        group: Some("group").filter(|_| all),
        moved_from: if all {
            Some(MovedFrom::Channel { channel: ChannelId(channel.0 - 1), sequence: sequence - 1 })
        } else {
            Some(MovedFrom::Parcel { parcel, floor })
        },
        headers: b"headers",
        body: b"body",
    };
    let state = |expires_ms, phase| Record::State {
        channel,
        sequence,
        delivery,
        uncounted,
        start,
        expires_ms,
        phase,
    };
    vec![
        message(Targets::new(&TARGETS), true),
        message(Targets::new(&TARGETS[..Target::BYTES]), false),
        state(Some(9), RecordedPhase::Dead { since_ms: 8, cause: 7, reason: "no such part" }),
        state(None, RecordedPhase::Ready(Ended::Released)),
        state(Some(expires_ms), RecordedPhase::Delayed { until_ms: 6, ended: Ended::Expired }),
        state(None, RecordedPhase::Leased { ends_ms }),
        Record::Lease { channel, sequence, delivery, uncounted, start, ends_ms },
        Record::Removed { channel, sequence, cause: RemovalCause::Settled },
        Record::Removed { channel, sequence, cause: RemovalCause::Expired },
        Record::Removed { channel, sequence, cause: RemovalCause::Dropped },
        Record::Removed { channel, sequence, cause: RemovalCause::Purged },
        Record::Removed { channel, sequence, cause: RemovalCause::Moved },
        Record::ParcelDelivered { parcel },
        Record::ParcelFloor { shard: 0xfffe_0102, floor },
        Record::Key { channel, idempotency: key(u128::MAX - 9).unwrap(), message_id },
        Record::Channel {
            channel,
            uid: u128::MAX - 10,
            next_sequence: u64::MAX - 21,
            namespace: "acme",
            name: "orders",
        },
        Record::ChannelClosed { channel, uid: u128::MAX - 10 },
        Record::Clock {
            own_ms: u64::MAX - 10,
            wall_ms: u64::MAX - 11,
            latest_ms: u64::MAX - 12,
            boot_id: u128::MAX - 13,
            boot_ns: u64::MAX - 14,
        },
    ]
}

/// The number of records in the list that end with a field of variable length.
const OPEN_ENDED: usize = 3;

/// Two targets; messages do not expire in the second.
const TARGETS: [u8; 2 * Target::BYTES] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

#[test]
fn each_kind_survives_encoding_and_has_its_computed_length() {
    for record in each_kind() {
        let bytes = encoded(&record);
        assert_eq!(bytes.len(), record.encoded_len());
        assert_eq!(Record::decode_first(&bytes), Ok((record, bytes.len())));
    }
}

#[test]
fn a_removal_has_the_documented_bytes() {
    let bytes = encoded(&Record::Removed {
        channel: ChannelId(0x0807_0605_0403_0201),
        sequence: 0x100f_0e0d_0c0b_0a09,
        cause: RemovalCause::Moved,
    });
    assert_eq!(bytes, [18, 0, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 5]);
}

#[test]
fn a_truncated_record_is_rejected_wherever_it_ends() {
    for record in each_kind() {
        let bytes = encoded(&record);
        for end in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..end]), Err(RecordError::Truncated), "{record:?} up to {end}");
        }
    }
}

#[test]
fn a_record_starts_with_its_head() {
    for record in each_kind() {
        let bytes = encoded(&record);
        let (head, extent) = RecordHead::decode_first(&bytes).unwrap();
        assert_eq!((head, extent.record), (RecordHead::of(&record), bytes.len()));
        assert_eq!(extent.record - extent.head, head.content_bytes);
        // The head decodes whatever follows, and no shorter prefix does.
        let mut cut = bytes[..extent.head].to_vec();
        cut.extend([7; 100]);
        assert_eq!(RecordHead::decode_first(&cut), Ok((head, extent)));
        for end in 0..extent.head {
            assert_eq!(RecordHead::decode_first(&bytes[..end]), Err(RecordError::Truncated), "{end}");
        }
    }
}

#[test]
fn a_message_with_one_bit_changed_is_not_whole() {
    for record in each_kind().iter().filter(|record| matches!(record, Record::Message { .. })) {
        let bytes = encoded(record);
        assert!(is_whole(&bytes));
        assert!(!is_whole(&bytes[..bytes.len() - 1]) && !is_whole(&[&bytes[..], &[0]].concat()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_whole(&damaged), "bit {bit}");
        }
    }
}

#[test]
fn a_message_with_any_range_zeroed_is_not_whole() {
    for record in each_kind().iter().filter(|record| matches!(record, Record::Message { .. })) {
        let bytes = encoded(record);
        for from in 0..bytes.len() {
            for to in from + 1..=bytes.len() {
                let mut damaged = bytes.clone();
                damaged[from..to].fill(0);
                assert!(damaged == bytes || !is_whole(&damaged), "{from}..{to}");
            }
        }
    }
}

#[test]
fn a_kind_of_a_newer_version_is_an_error_that_names_it() {
    let error = Record::decode(&[3, 0, 0, 0, 77, 1, 2]).unwrap_err();
    assert_eq!(error, RecordError::UnknownKind(77));
    assert!(error.to_string().contains("77"));
}

#[test]
fn a_phase_of_a_newer_version_is_an_error() {
    let phase = RecordedPhase::Ready(Ended::Never);
    let (channel, sequence, delivery, uncounted, start, expires_ms) = (ChannelId(1), 2, 3, 4, 5, None);
    let state = Record::State { channel, sequence, delivery, uncounted, start, expires_ms, phase };
    let mut bytes = encoded(&state);
    let at = bytes.len() - (1 + 1 + 8 + 1);
    bytes[at] = 4;
    assert_eq!(Record::decode(&bytes), Err(RecordError::UnknownFlag { kind: 3, flag: 4 }));
}

#[test]
fn a_field_of_a_newer_version_is_an_error() {
    for record in &each_kind()[OPEN_ENDED..] {
        let mut bytes = encoded(record);
        let kind = bytes[4];
        bytes[0] += 1;
        bytes.push(9);
        assert_eq!(Record::decode(&bytes), Err(RecordError::TooLong { kind, bytes: 1 }));
    }
}

#[test]
fn targets_survive_encoding() {
    let targets = [
        Target {
            channel: ChannelId(0x0807_0605_0403_0201),
            sequence: 0x100f_0e0d_0c0b_0a09,
            expires_ms: Some(0x1817_1615_1413_1211),
        },
        Target {
            channel: ChannelId(0x201f_1e1d_1c1b_1a19),
            sequence: 0x2827_2625_2423_2221,
            expires_ms: None,
        },
    ];
    assert_eq!(Targets::new(&TARGETS).iter().collect::<Vec<_>>(), targets);
    let mut bytes = Vec::new();
    targets.iter().for_each(|target| target.encode(&mut bytes));
    assert_eq!(bytes, TARGETS);
}

proptest! {
    #[test]
    fn any_message_survives_encoding_with_other_bytes_behind_it(
        headers in prop::collection::vec(any::<u8>(), 0..100),
        body in prop::collection::vec(any::<u8>(), 0..1000),
        key in proptest::option::of((any::<u128>(), any::<u128>(), any::<u64>())),
        numbers in any::<(u128, u64)>(),
        optional in any::<(Option<u64>, Option<(u32, u64, u64)>, Option<(u64, u64)>)>(),
        group in proptest::option::of("[a-zäß]{0,40}"),
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let ((message_id, enqueued_ms), (due_ms, parcel, from)) = (numbers, optional);
        let parcel = parcel
            .map(|(shard, epoch, count)| ParcelId { shard, number: ParcelNumber { epoch, count } });
        let moved_from = from.map(|(channel, sequence)| {
            MovedFrom::Channel { channel: ChannelId(channel), sequence }
        });
        let idempotency =
            key.map(|(hash, fingerprint, expires_ms)| Idempotency { hash, fingerprint, expires_ms });
        let record = Record::Message {
            targets: Targets::new(&TARGETS),
            parcel,
            message_id,
            enqueued_ms,
            idempotency,
            due_ms,
            group: group.as_deref(),
            moved_from,
            headers: &headers,
            body: &body,
        };
        let mut bytes = encoded(&record);
        let length = bytes.len();
        bytes.extend(after);
        prop_assert_eq!(Record::decode_first(&bytes), Ok((record, length)));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..12_u8) {
        let mut framed = ((bytes.len() + 1) as u32).to_le_bytes().to_vec();
        framed.push(kind);
        framed.extend(&bytes);
        if let Ok((record, length)) = Record::decode_first(&framed) {
            // Valid bytes are the only encoding of their record, except for the checksum.
            let again = encoded(&record);
            let same = again == framed[..length] || !is_whole(&framed[..length]);
            prop_assert!(same);
        }
        let _ = Record::decode_first(&bytes);
    }
}
