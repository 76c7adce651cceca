//! Fuzzing entries for bytes that come from strangers or from a damaged disk. Each takes any bytes, and must neither
//! panic nor use memory out of proportion to them.
//!
//! `make fuzz` runs them guided by coverage, for any length of time. The tests run them on every commit, over the same
//! seeds and over mutations of them.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use restante_wire::{
    Address,
    batch::{ItemHead, Settlements, decode_frames, encode_frame, read_batch},
    header::is_kept,
    json,
};

use crate::{
    address_store,
    backup::{self, Sink},
    channel::LeaseSealer,
    clock::{Clock, TimeSource},
    http::{header, query::Query},
    log::{Position, Record, RecordHead, disk},
    message,
    shard::Replay,
};

/// An entry and its name.
pub type Target = (&'static str, fn(&[u8]));

/// All entries; `fuzz/seeds` has a folder for each.
pub const TARGETS: [Target; 6] = [
    ("segment", segment),
    ("records", records),
    ("request", request),
    ("frames", frames),
    ("addresses", addresses),
    ("archive", archive),
];

/// A segment file of the log, read by recovery and salvage: unchanged, and with corrected checksums.
pub fn segment(bytes: &[u8]) {
    disk::inspection::fuzz(bytes);
}

/// The records of a frame, and the channels that they describe.
pub fn records(bytes: &[u8]) {
    let (mut rest, mut replay) = (bytes, Replay::default());
    while let Ok((record, length)) = Record::decode_first(rest) {
        let mut encoded = Vec::new();
        record.encode(&mut encoded);
        assert_eq!(Record::decode(&encoded), Ok(record), "a record survives encoding and decoding");
        let head = RecordHead::of(&record);
        let read = RecordHead::decode_first(rest).map(|(head, extent)| (head, extent.record));
        assert_eq!(read, Ok((head, length)), "a record starts with its head");
        replay.record(Position::START, &head);
        rest = &rest[length..];
    }
    replay.finish();
    let clock = Clock::start(TimeSource::system(), replay.past);
    let _ = (clock.mark(), clock.rfc3339(clock.now()), replay.past.wall(replay.past.newest()));
}

/// A request: an address, a query, and headers, one per line. The whole input is also read as a body.
pub fn request(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let path = lines.next().unwrap_or_default();
    if let Ok(address) = path.parse::<Address>() {
        assert_eq!(address.to_string(), path, "an address is kept unchanged");
    }
    let known = ["wait", "lease", "delay", "max", "reason", "uncounted", "after"];
    if let Ok(query) = Query::parse(lines.next(), &known) {
        for name in known {
            let _ = (query.seconds(name, 1), query.number(name, 1, 1000), query.flag(name), query.text(name));
        }
    }
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    let _ = (header::idempotency_key(&headers), header::receive_attempt_id(&headers));
    let _ = (header::message_group(&headers), header::message_delay(&headers), header::message_ttl(&headers));
    let _ = (
        header::prefer_wait(&headers),
        header::content_type(&headers).is_ok(),
        header::wants_events(&headers),
    );
    let sealer = LeaseSealer::new(&[7; crate::data_folder::LEASE_KEY_BYTES]);
    for lease in header::acknowledge(&headers).unwrap_or_default() {
        let _ = sealer.open(&lease);
    }
    if let Ok(kept) = message::encode_kept(&headers, is_kept) {
        let mut back = HeaderMap::new();
        message::decode_kept(&kept, &mut back);
        assert_eq!(
            message::encode_kept(&back, is_kept),
            Ok(kept),
            "kept headers survive encoding and decoding"
        );
    }
    let _ = (read_batch(bytes), json::read::<Settlements>(bytes));
}

pub fn frames(bytes: &[u8]) {
    let Ok(frames) = decode_frames::<ItemHead>(bytes) else { return };
    let mut encoded = Vec::new();
    frames.iter().for_each(|(head, content)| encode_frame(head, content, &mut encoded));
    assert_eq!(decode_frames(&encoded), Ok(frames), "frames survive encoding and decoding");
}

/// A file of the address store. The first byte selects snapshot or journal.
pub fn addresses(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    address_store::inspection::fuzz(first.is_multiple_of(2), bytes);
}

pub fn archive(bytes: &[u8]) {
    let _ = backup::read(bytes, &mut Counted::default());
}

/// Counts the bytes of each file.
#[derive(Default)]
struct Counted(BTreeMap<String, usize>, String);

impl Sink for Counted {
    fn begin(&mut self, name: &str) -> std::io::Result<()> {
        assert!(!name.contains(".."), "{name} points outside of the folder");
        name.clone_into(&mut self.1);
        Ok(())
    }

    fn contents(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        *self.0.entry(self.1.clone()).or_default() += bytes.len();
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
