//! A start with smaller segments than stored messages need.

use super::*;

/// Starts on the same folder with another segment size, after a kill.
fn started(bench: Bench, segment_bytes: u64) -> Result<Bench, StartError> {
    let Bench { shard, source, store, entries, place, folder, _data } = bench;
    drop(shard);
    let log = DiskLog::open(place.0.path(), Options { segment_bytes }).unwrap();
    let shard = start_over(log, &folder, &store, &source)?;
    Ok(Bench { shard, source, store, entries, place, folder, _data })
}

#[test]
fn a_message_that_could_not_be_copied_prevents_the_start() {
    let mut bench = Bench::<Folder>::new(vec![channel("large")]);
    for bytes in [20_000, 40_000] {
        bench.push(&[0], message(&"x".repeat(bytes))).unwrap();
    }
    bench.commit();
    let error = started(bench, 32 << 10).err().unwrap();
    assert!(matches!(error, StartError::TooLong { bytes: 40_001.., longest: ..32_768, .. }), "{error}");
    assert!(error.to_string().contains("of channel acme/large exceeds the limit"), "{error}");
}

#[test]
fn smaller_segments_are_accepted_if_all_remaining_messages_fit() {
    let mut bench = Bench::<Folder>::new(vec![channel("large")]);
    bench.push(&[0], message(&"x".repeat(40_000))).unwrap();
    bench.push(&[0], message(&"y".repeat(20_000))).unwrap();
    let delivery = bench.pull(0, 3_600_000).unwrap();
    let _ = bench.shard.settle(delivery.channel, delivery.granted.claim()).unwrap();
    bench.commit();
    let mut bench = started(bench, 32 << 10).unwrap();
    assert_eq!(bench.shard.facts.channels[&bench.entries[0].id].state.messages_count(), 1);
    assert!(bench.pull(0, 1000).is_some());
}
