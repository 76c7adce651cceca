//! Channels of several shards that the address store has lost, or that were deleted.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::log::{conformance::BlockingLog, disk::simulated::Chance};
use crate::shard::tests::{many_shards, relay, *};

/// An empty address store.
fn forgetful() -> (TempDir, AddressStore) {
    let folder = TempDir::new().unwrap();
    let store = AddressStore::open(folder.path(), Uuid::nil()).unwrap();
    (folder, store)
}

#[test]
fn a_message_in_relay_to_a_lost_channel_arrives_in_its_orphan() {
    let mut many = many_shards::Many::new(["one", "two"].map(channel).to_vec(), 2);
    let first = many.shard_of(many.entries[0].id);
    let _ = many.push(&[0, 1], message("to both")).unwrap();
    many.commit_one(first);
    let left = many.disks_after_end(None);
    let (_folder, store) = forgetful();
    many.store = store;
    let mut many = many.start(left, 2);
    let names: BTreeSet<_> = many.store.orphans().iter().map(|entry| entry.config.qualified_name()).collect();
    assert!(names.iter().eq(["acme/one", "acme/two"]));
    many.commit();
    for entry in many.store.orphans() {
        let shard = many.shard(entry.id);
        assert_eq!(shard.facts.channels[&entry.id].state.messages_count(), 1, "{}", entry.config.name);
    }
}

#[test]
fn a_deletion_outlives_the_records_of_its_channel_in_older_logs() {
    let mut many = many_shards::Many::new(["gone", "two", "three"].map(channel).to_vec(), 1);
    let _ = many.push(&[0], message("gone")).unwrap();
    many.commit();
    let left = many.disks_after_end(None);
    let mut many = many.start(left, 2);
    let entry = many.entries[0].clone();
    let (shard, other) = (many.shard_of(entry.id), [1, 2]);
    let _ = many.shard(entry.id).close(&entry, true).unwrap().unwrap();
    many.commit_one(shard);
    // The other shard leaves the older log unchanged, while this one reclaims all of its own log.
    let beside = other.into_iter().find(|index| many.shard_of(many.entries[*index].id) == shard);
    relay::rotate(&mut many, beside.expect("one of them belongs to the same shard"));
    let left = many.disks_after_end(None);
    let (_folder, store) = forgetful();
    many.store = store;
    let many = many.start(left, 2);
    assert_eq!(many.store.by_uid(entry.config.uid), None, "it was deleted");
}

/// The messages of a channel, read by a shard that is not used afterwards.
fn contents_of(many: &many_shards::Many, entry: &ChannelEntry) -> BTreeSet<String> {
    let mut shard = many.shard(entry.id);
    let Some(channel) = shard.facts.channels.get(&entry.id) else { return BTreeSet::new() };
    let positions: Vec<_> = channel.state.messages().map(|(_, message)| message.stored.position).collect();
    let read = positions.into_iter().map(|position| shard.ledger.log.fetched(position).unwrap());
    read.map(|bytes| String::from_utf8(StoredMessage::of(&bytes).content.body.to_vec()).unwrap()).collect()
}

#[test]
fn after_a_power_cut_a_channel_has_its_acknowledged_messages_and_a_deleted_one_none() {
    for seed in 0..40_u64 {
        let mut many = many_shards::Many::new(["gone", "two", "three"].map(channel).to_vec(), 2);
        let gone = many.entries[0].clone();
        for round in 0..3 {
            for channels in [&[0][..], &[1], &[2], &[0, 1]] {
                let _ = many.push(channels, message(&format!("{round} of {channels:?}"))).unwrap();
            }
            many.commit();
        }
        // Deletes a channel, perhaps without telling the address store; perhaps another channel gets its name.
        let shard = many.shard_of(gone.id);
        let (_, deleted) = many.shard(gone.id).close(&gone, true).unwrap().unwrap();
        many.commit_one(shard);
        assert!(is_kept(&deleted));
        if seed % 2 == 0 {
            many.store.remove(gone.config.uid).unwrap();
            let mut second = channel("gone");
            second.uid = Uuid::from_u128(7);
            many.entries[0] = many.store.put(second).unwrap().changed.remove(0);
            let _ = many.push(&[0], message("second")).unwrap();
            many.commit();
        }
        // These are not acknowledged.
        let _ = many.push(&[1], message("maybe")).unwrap();
        let _ = many.push(&[2], message("maybe")).unwrap();
        many.shards[shard].lock().commit();
        let (entries, left) = (many.entries.clone(), many.disks_after_end(Some(Chance::new(seed))));
        let (_folder, store) = forgetful();
        if seed % 3 == 0 {
            many.store = store;
        }
        let many = many.start(left, 1 + (seed % 2) as usize);
        if let Some(known) = many.store.by_uid(gone.config.uid) {
            assert_eq!(contents_of(&many, &known), BTreeSet::new(), "with seed {seed}");
            let pushed = many.shard(known.id).push(std::slice::from_ref(&known), message("late"), None);
            assert!(matches!(pushed, Err(PushRefusal::Closed)), "with seed {seed}");
        }
        for (index, entry) in entries.iter().enumerate().skip(usize::from(seed % 2 == 1)) {
            let mut expected: BTreeSet<String> = match index {
                0 => ["second".to_owned()].into(),
                _ => (0..3).map(|round| format!("{round} of [{index}]")).collect(),
            };
            if index == 1 {
                expected.extend((0..3).map(|round| format!("{round} of [0, 1]")));
            }
            let entry = many.store.by_uid(entry.config.uid).unwrap();
            let mut found = contents_of(&many, &entry);
            found.remove("maybe");
            assert_eq!(found, expected, "with seed {seed}");
        }
    }
}
