//! docs/disk-format.md describes the real files: the page's own tables parse them.

use std::collections::BTreeMap;

use super::{fixture, owner::Owner};
use crate::log::{
    Log, Record, Sync,
    conformance::BlockingLog,
    disk::{
        simulated::Simulated,
        storage::{Storage, StorageFile},
    },
};

const PAGE: &str = include_str!("../../../../../docs/disk-format.md");
const SEGMENT_HEAD_BYTES: usize = 4096;

/// The cells of the table in a section of the page, without the header and its rule.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").flat_map(|section| section.split("\n### "));
    let section = section.into_iter().find(|section| section.starts_with(heading));
    let rows = section.unwrap_or_else(|| panic!("no section {heading}")).lines();
    let rows = rows.filter_map(|row| row.strip_prefix("| ")?.strip_suffix('|'));
    rows.skip(1)
        .map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>())
        .filter(|cells| !cells[0].starts_with("---"))
        .collect()
}

/// A little-endian number.
fn number(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The fields of some bytes by a table of offsets. Magic, version and checksum are verified.
fn head(heading: &str, bytes: &[u8]) -> BTreeMap<&'static str, u128> {
    let mut fields = BTreeMap::new();
    let mut end = 0;
    for row in table(heading) {
        let [range, name, kind, meaning] = row[..] else { panic!("{heading}: {row:?}") };
        let (from, to) = range.split_once('–').unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(from, end, "{heading}: {name} leaves a gap");
        end = to;
        let field = &bytes[from..to];
        match kind {
            "text" => assert_eq!(field, meaning.trim_matches('`').as_bytes(), "{heading}: {name}"),
            "u32" => assert_eq!(field.len(), 4, "{heading}: {name}"),
            "u64" => assert_eq!(field.len(), 8, "{heading}: {name}"),
            _ => panic!("{heading}: {name} has the type {kind}"),
        }
        if name == "version" || name == "zero" {
            assert_eq!(number(field), meaning.parse().unwrap(), "{heading}: {name}");
        }
        fields.insert(name, number(&field[..field.len().min(16)]));
    }
    if fields.contains_key("version") {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..end]);
        assert_eq!(fields["checksum"], u128::from(crc), "{heading}");
    }
    fields
}

/// A field of a record: its name in the page, and its bytes.
type Field<'a> = (&'static str, &'a [u8]);

/// The fields of a record, by the table of its kind. All bytes must be used.
fn fields<'a>(kind: u8, mut bytes: &'a [u8]) -> Vec<Field<'a>> {
    let rows = table(&format!("Kind {kind}:"));
    let mut fields: Vec<Field<'a>> = Vec::new();
    let value_of = |fields: &[Field<'_>], name| {
        let field = fields.iter().find(|field| field.0 == name);
        number(field.unwrap_or_else(|| panic!("kind {kind} has no {name}")).1)
    };
    let per_target = |row: &Vec<&str>| row[2] == "each target";
    let mut rows = rows.iter().peekable();
    while let Some(row) = rows.peek() {
        let (times, repeated): (u128, Vec<_>) = match per_target(row) {
            true => (
                value_of(&fields, "targets"),
                std::iter::from_fn(|| rows.next_if(|row| per_target(row))).collect(),
            ),
            false => (1, rows.next().into_iter().collect()),
        };
        for _ in 0..times {
            for row in &repeated {
                let is_there = match row[2].strip_prefix("flag ") {
                    Some(flag) => value_of(&fields, "flags") & flag.parse::<u128>().unwrap() != 0,
                    None => true,
                };
                if is_there {
                    fields.push((row[0], take(row[1], &mut bytes)));
                }
            }
        }
    }
    assert!(bytes.is_empty(), "kind {kind} has {} bytes after its last field", bytes.len());
    fields
}

/// The bytes of a field, without its length.
fn take<'a>(kind: &str, bytes: &mut &'a [u8]) -> &'a [u8] {
    let mut split = |length| bytes.split_off(..length).expect("the record has the field");
    match kind {
        "u8" => split(1),
        "u32" => split(4),
        "u64" => split(8),
        "u128" => split(16),
        "text8" => {
            let length = number(split(1));
            split(length as usize)
        }
        "bytes32" => {
            let length = number(split(4));
            split(length as usize)
        }
        "rest" => std::mem::take(bytes),
        _ => panic!("the page has a type {kind}"),
    }
}

/// The records of a segment, parsed by the page: the kind and the bytes of each.
fn records(segment: &[u8]) -> Vec<(u8, &[u8])> {
    let of_segment = head("Segment", segment);
    assert_eq!(of_segment["bytes"], segment.len() as u128);
    let mut records = Vec::new();
    let (mut at, mut next) = (SEGMENT_HEAD_BYTES, of_segment["first_frame"]);
    while segment[at..at + 32] != [0; 32] {
        let of_frame = head("Frame", &segment[at..at + 32]);
        let length = of_frame["length"] as usize;
        let mut bytes = &segment[at + 32..at + 32 + length];
        let crc = crc32c::crc32c_append(crc32c::crc32c(&segment[at..at + 4]), &segment[at + 8..at + 32]);
        assert_eq!(of_frame["checksum"], u128::from(crc32c::crc32c_append(crc, bytes)));
        assert_eq!(of_frame["mark"], of_segment["mark"]);
        assert_eq!(of_frame["number"], next);
        assert!(of_frame["synced"] <= next);
        while !bytes.is_empty() {
            let record = take("bytes32", &mut bytes);
            records.push((record[0], &record[1..]));
        }
        (at, next) = ((at + 32 + length).next_multiple_of(8), next + 1);
    }
    records
}

/// Whether the code decodes the same number, text or bytes under this name.
fn is_read_so(decoded: &str, (name, bytes): &Field<'_>) -> bool {
    let value = number(&bytes[..bytes.len().min(16)]);
    match *name {
        // These follow from the presence of other fields, and are checked when the record is decoded.
        "targets" | "flags" | "checksum" | "phase" | "ended" | "removal" => true,
        "channel" => decoded.contains(&format!("channel: ChannelId({value})")),
        "parcel_shard" => decoded.contains(&format!("ParcelId {{ shard: {value}, ")),
        "parcel_epoch" => decoded.contains(&format!("number: ParcelNumber {{ epoch: {value}, ")),
        "parcel_count" => decoded.contains(&format!(", count: {value} }}")),
        "moved_from_channel" => {
            decoded.contains(&format!("moved_from: Some(Channel {{ channel: ChannelId({value}), "))
        }
        "moved_from_sequence" => decoded.contains(&format!(", sequence: {value} }}), headers")),
        "copy_of_shard" => {
            decoded.contains(&format!("moved_from: Some(Parcel {{ parcel: ParcelId {{ shard: {value}, "))
        }
        "copy_of_epoch" => decoded.contains(&format!("number: ParcelNumber {{ epoch: {value}, ")),
        "copy_of_count" => decoded.contains(&format!(", count: {value} }} }}, floor: ")),
        "floor_epoch" => decoded.contains(&format!("floor: ParcelNumber {{ epoch: {value}, ")),
        "floor_count" => decoded.contains(&format!(", count: {value} }}")),
        "at_ms" => value == 0 || decoded.contains(&format!("_ms: {value}")),
        "cause" => value == 0 || decoded.contains(&format!("cause: {value},")),
        "reason" if bytes.is_empty() => true,
        "group" => decoded.contains(&format!("group: Some({:?})", str::from_utf8(bytes).unwrap())),
        "namespace" | "name" | "reason" => {
            decoded.contains(&format!("{name}: {:?}", str::from_utf8(bytes).unwrap()))
        }
        "headers" | "body" => decoded.contains(&format!("{name}: {bytes:?}")),
        _ => [format!("{name}: {value}"), format!("{name}: Some({value})")]
            .iter()
            .chain((value == 0).then_some(&format!("{name}: None")))
            .any(|expected| decoded.contains(expected)),
    }
}

#[test]
fn the_page_parses_every_kind_of_record_like_the_code() {
    let mut kinds = BTreeMap::new();
    for (kind, bytes) in records(&fixture::segment()) {
        *kinds.entry(kind).or_insert(0) += 1;
        let mut whole = ((bytes.len() + 1) as u32).to_le_bytes().to_vec();
        whole.push(kind);
        whole.extend_from_slice(bytes);
        let decoded = format!("{:?}", Record::decode(&whole).unwrap());
        for field in fields(kind, bytes) {
            assert!(is_read_so(&decoded, &field), "{field:?} of kind {kind} in {decoded}");
        }
    }
    let written = PAGE.matches("\n### Kind ").count();
    assert_eq!(kinds.len(), written, "not every kind of the page has a record: {kinds:?}");
}

#[test]
fn the_page_parses_the_files_of_a_log() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    while !owner.log.segments.values().any(|segment| segment.is_indexed) {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    owner.wait_for_indexes();
    owner.log.close().unwrap();
    let read = |name: &str| {
        let file = disk.open(name).unwrap();
        let mut bytes = vec![0; file.size().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    let segment = read("00000001.seg");
    let of_segment = head("Segment", &segment);
    assert!(!records(&segment).is_empty());

    let index = read("00000001.idx");
    let of_index = head("Index", &index);
    for field in ["epoch", "mark", "first_frame", "bytes", "log"] {
        assert_eq!(of_index[field], of_segment[field], "{field}");
    }
    let heads = &index[96..];
    assert_eq!(of_index["heads_bytes"], heads.len() as u128);
    assert_eq!(of_index["heads_checksum"], u128::from(crc32c::crc32c(heads)));

    let synced = read("synced");
    let slots = [&synced[..512], &synced[512..1024]].map(|slot| head("The file `synced`", slot));
    let slot = slots.iter().max_by_key(|slot| slot["count"]).unwrap();
    assert_eq!(slot["log"], of_segment["log"]);
    assert_eq!(slot["closed"], 1);
    assert!(slot["next_frame"] >= of_index["next_frame"]);
}
