//! The effect of each change, and which changes are refused.

use std::collections::BTreeSet;

use restante_wire::Revision;

use restante_wire::channel::{Durability, SHARED_DESTINATION_CHANNELS_MAX};

use super::*;

#[test]
fn a_store_is_programmed_by_a_whole_set_even_an_empty_one_and_stays_programmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.put(config("orders")).unwrap();
    assert!(!store.is_programmed() && store.state().synced_at.is_none());
    store.sync(Vec::new()).unwrap();
    let synced_at = store.state().synced_at;
    assert!(store.is_programmed() && synced_at.is_some());
    drop(store);
    assert_eq!(open(folder.path()).state().synced_at, synced_at);
}

#[test]
fn a_channel_is_found_by_each_destination_for_pushes_only_and_by_its_source_for_pulls_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut orders = config("orders");
    orders.destinations =
        ["acme/in", "acme/in/two"].map(|address| address.parse().unwrap()).into_iter().collect();
    orders.source = "acme/out".parse().unwrap();
    store.put(orders.clone()).unwrap();
    let found = [
        store.destination("acme/in").first().cloned(),
        store.destination("acme/in/two").first().cloned(),
        store.source("acme/out"),
        store.by_name("acme", "orders"),
        store.by_uid(orders.uid),
        store.by_id(id_of(orders.uid)),
    ];
    for entry in found {
        assert_eq!(entry.unwrap().config, orders);
    }
    assert!(store.destination("acme/out").is_empty() && store.source("acme/in").is_none());
    assert!(store.destination("acme/orders").is_empty() && store.by_name("acme", "in").is_none());
}

#[test]
fn a_channel_missing_from_a_set_is_an_orphan_until_it_returns_with_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.sync(vec![config("one"), config("two")]).unwrap();
    let (one, two) = (id(&store, "acme/one").unwrap(), id(&store, "acme/two").unwrap());

    let changes = store.sync(vec![config("two")]).unwrap();
    assert_eq!(changes, Changes { changed: vec![], withdrawn: vec![one] });
    assert!(store.destination("acme/one").is_empty() && store.source("acme/one").is_none());
    assert!(store.by_name("acme", "one").is_none());
    assert_eq!(store.by_id(one).unwrap().config, config("one"));
    assert_eq!(store.orphans(), [store.by_id(one).unwrap()]);
    assert_eq!((store.state().channels, store.state().orphans), (1, 1));
    assert_eq!(store.state().revision, Revision::of([&config("two")]));

    // Another channel may use its addresses in the meantime.
    let mut three = config("three");
    three.source = "acme/one".parse().unwrap();
    store.sync(vec![config("two"), three]).unwrap();
    assert!(matches!(store.put(config("one")), Err(ApplyError::Conflict(_))));
    let changes = store.sync(vec![config("one")]).unwrap();
    assert_eq!(changes.changed, [store.by_id(one).unwrap()]);
    assert_eq!(id(&store, "acme/one"), Some(one));
    assert!(store.is_known(two) && store.orphans().len() == 2);
}

#[test]
fn a_deleted_channel_and_its_id_never_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.put(config("one")).unwrap();
    let one = store.remove(config("one").uid).unwrap().unwrap();
    assert_eq!((one.id, &one.config), (id_of(config("one").uid), &config("one")));
    assert!(!store.is_known(one.id));
    assert_eq!(store.remove(one.config.uid).unwrap(), None);

    let revision = store.state().revision;
    let error = store.sync(vec![config("two"), config("one")]).unwrap_err();
    assert!(matches!(error, ApplyError::Deleted { uid, .. } if uid == one.config.uid), "{error}");
    assert!(matches!(store.put(config("one")), Err(ApplyError::Deleted { .. })));
    assert_eq!(store.state().revision, revision, "no part of the set was applied");

    let mut recreated = config("one");
    recreated.uid = Uuid::from_u128(1);
    store.put(recreated).unwrap();
    assert_ne!(id(&store, "acme/one"), Some(one.id));
    drop(store);
    let store = open(folder.path());
    assert!(matches!(store.put(config("one")), Err(ApplyError::Deleted { .. })));
}

#[test]
fn a_deletion_before_its_put_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert_eq!(store.remove(config("one").uid).unwrap(), None);
    assert!(matches!(store.put(config("one")), Err(ApplyError::Deleted { .. })));
}

#[test]
fn an_orphan_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.sync(vec![config("one")]).unwrap();
    store.sync(vec![]).unwrap();
    let one = store.remove(config("one").uid).unwrap().unwrap();
    assert!(store.orphans().is_empty() && !store.is_known(one.id));
    assert_eq!(store.state().orphans, 0);
}

#[test]
fn a_change_to_the_same_configuration_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.sync(vec![config("one")]).unwrap();
    let before = store.source("acme/one").unwrap();
    assert_eq!(store.put(config("one")).unwrap(), Changes::default());
    assert_eq!(store.sync(vec![config("one")]).unwrap(), Changes::default());
    assert!(Arc::ptr_eq(&before, &store.source("acme/one").unwrap()));
}

#[test]
fn a_set_that_changes_nothing_is_accepted_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.sync(vec![config("one")]).unwrap();
    let before = std::fs::read(folder.path().join("journal")).unwrap();
    store.sync(vec![config("one")]).unwrap();
    assert_eq!(std::fs::read(folder.path().join("journal")).unwrap(), before);
    store.sync(vec![]).unwrap();
    assert_ne!(std::fs::read(folder.path().join("journal")).unwrap(), before);
}

#[test]
fn each_broker_gives_a_channel_the_same_id() {
    let ids = [["one", "two"], ["two", "one"]].map(|names| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        names.iter().for_each(|name| drop(store.put(config(name)).unwrap()));
        id(&store, "acme/one").unwrap()
    });
    assert_eq!(ids[0], ids[1]);
    // From an independent implementation of SHA-256.
    let uid = "489b1b4f-ebe8-515c-a19c-ad66e71c1fd3".parse().unwrap();
    assert_eq!(id_of(uid), ChannelId(0xacf9_d77f_ae48_6deb));
}

#[test]
fn an_adopted_orphan_becomes_the_channel_of_its_uid_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.adopt(vec![ChannelEntry { id: ChannelId(7), config: config("one") }]).unwrap();
    assert_eq!((store.state().channels, store.state().orphans), (0, 1));
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.orphans()[0].id, ChannelId(7));
    store.sync(vec![config("one"), config("two")]).unwrap();
    assert_eq!(id(&store, "acme/one"), Some(ChannelId(7)));
    assert!(store.orphans().is_empty());
}

#[test]
fn an_orphan_whose_name_was_lost_becomes_the_channel_that_has_its_id() {
    for sync in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let lost = ChannelEntry { id: id_of(config("one").uid), config: config("lost") };
        store.adopt(vec![lost.clone()]).unwrap();
        let changes = if sync { store.sync(vec![config("one")]) } else { store.put(config("one")) }.unwrap();
        assert_eq!(changes.changed[0].id, lost.id);
        drop(store);
        let store = open(folder.path());
        assert_eq!(id(&store, "acme/one"), Some(lost.id));
        assert_eq!(store.by_id(lost.id).unwrap().config, config("one"));
        assert!(store.orphans().is_empty() && store.by_uid(lost.config.uid).is_none());
    }
}

#[test]
fn a_channel_whose_id_another_one_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let taken = ChannelEntry { id: id_of(config("two").uid), config: config("one") };
    store.adopt(vec![taken]).unwrap();
    store.put(config("one")).unwrap();
    let error = store.put(config("two")).unwrap_err();
    assert!(matches!(error, ApplyError::IdTaken { .. }), "{error}");
    assert!(error.to_string().contains("acme/two"), "{error}");
}

#[test]
fn durability_cannot_change_while_a_channel_exists() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let durable = ChannelConfig { deduplication_window_seconds: 1, ..config("one") };
    let in_memory = ChannelConfig { durability: Durability::Memory, ..durable.clone() };
    store.put(config("one")).unwrap();
    assert!(matches!(store.put(in_memory.clone()), Err(ApplyError::Durability { .. })));
    store.sync(vec![durable.clone()]).unwrap();
    let error = store.sync(vec![in_memory.clone()]).unwrap_err().to_string();
    assert!(error.contains("acme/one") && error.contains("cannot change from fsync to memory"), "{error}");
    // Leaving the set in between does not help either.
    store.sync(vec![]).unwrap();
    assert!(matches!(store.put(in_memory.clone()), Err(ApplyError::Durability { .. })));
    store.put(durable).unwrap();
    // The durability of a channel that a start created for lost messages is unknown, and may be set.
    store.adopt(vec![ChannelEntry { id: ChannelId(7), config: config("two") }]).unwrap();
    store.put(ChannelConfig { durability: Durability::Memory, ..config("two") }).unwrap();
}

#[test]
fn a_channel_with_a_new_source_withdraws_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.put(config("one")).unwrap();
    let mut moved = config("one");
    moved.delivery.wait_seconds = 1;
    assert_eq!(store.put(moved.clone()).unwrap().withdrawn, Vec::<ChannelId>::new());
    moved.source = "acme/elsewhere".parse().unwrap();
    let one = id(&store, "acme/one").unwrap();
    assert_eq!(store.put(moved).unwrap().withdrawn, [one]);
    assert!(store.source("acme/one").is_none() && store.source("acme/elsewhere").is_some());
}

/// Makes a channel claim something of another channel.
type Collide = fn(&mut ChannelConfig);

#[test]
fn two_channels_that_claim_the_same_are_refused_with_both_names_and_nothing_is_applied() {
    let collisions: [(Claim, Collide); 4] = [
        (Claim::Uid, |two| two.uid = config("one").uid),
        (Claim::Name, |two| two.name = "one".into()),
        (Claim::Source, |two| two.source = config("one").source),
        (Claim::Destination, |two| two.destinations.push(config("one").source)),
    ];
    for (claim, collide) in collisions {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut two = config("two");
        collide(&mut two);
        let error = store.sync(vec![config("one"), config("other"), two.clone()]).unwrap_err();
        let ApplyError::Conflict(conflict) = &error else { panic!("{error}") };
        assert_eq!(conflict.claim, claim);
        assert!(error.to_string().contains("acme/one"), "{error}");
        assert!(store.channels().is_empty() && !store.is_programmed());

        // One by one: the UID is the identity, so the same UID is a change of the first channel and not a conflict.
        store.put(config("one")).unwrap();
        match store.put(two) {
            Ok(_) => assert_eq!(claim, Claim::Uid),
            Err(ApplyError::Conflict(conflict)) => assert_eq!(conflict.claim, claim),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn one_invalid_channel_refuses_the_whole_set() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut bad = config("bad");
    bad.limits.messages = 0;
    let error = store.sync(vec![config("one"), bad]).unwrap_err();
    assert!(matches!(&error, ApplyError::Invalid(invalid) if invalid.field == "limits.messages"), "{error}");
    assert!(store.channels().is_empty() && !store.is_programmed());
}

#[test]
fn two_channels_may_swap_their_addresses_in_one_set() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.sync(vec![config("one"), config("two")]).unwrap();
    let (mut one, mut two) = (config("one"), config("two"));
    std::mem::swap(&mut one.source, &mut two.source);
    std::mem::swap(&mut one.destinations, &mut two.destinations);
    store.sync(vec![one, two]).unwrap();
    assert_eq!(store.source("acme/one").unwrap().config.name, "two");
    assert_eq!(store.destination("acme/two")[0].config.name, "one");
}

#[test]
fn a_set_above_the_limit_of_the_journal_is_applied_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let three = || ["kept", "changed", "missing"].map(config).to_vec();
    store.sync(three()).unwrap();
    store.put(config("back")).unwrap();
    store.put(config("deleted")).unwrap();
    store.sync(three()).unwrap();
    store.remove(config("deleted").uid).unwrap();

    // Sixteen of the longest destinations in each channel, so that few channels are enough.
    let mut large: Vec<_> = (0..3000).map(|number| config(&format!("c{number}"))).collect();
    for channel in &mut large {
        let long = |number| format!("acme/{}/{number}/{}", channel.name, "x".repeat(230));
        channel.destinations.extend((0..15).map(|number| long(number).parse::<Address>().unwrap()));
    }
    large.extend([config("kept"), config("changed"), config("back")]);
    large[3001].delivery.wait_seconds = 1;
    let changes = store.sync(large).unwrap();
    assert_eq!((changes.changed.len(), changes.withdrawn), (3002, vec![id_of(config("missing").uid)]));
    let state = store.state();
    assert!(folder.path().join("snapshot").exists());
    drop(store);

    let store = open(folder.path());
    assert_eq!(store.state(), state);
    for name in ["kept", "changed", "back", "c0"] {
        assert_eq!(id(&store, &format!("acme/{name}")), Some(id_of(config(name).uid)));
    }
    assert_eq!(store.destination("acme/changed")[0].config.delivery.wait_seconds, 1);
    assert_eq!(store.orphans()[0].config, config("missing"));
    assert!(matches!(store.put(config("deleted")), Err(ApplyError::Deleted { .. })));
}

#[test]
fn among_many_channels_a_change_copies_one_shard_of_each_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let many: Vec<_> = (0..10_000).map(|number| config(&format!("c{number}"))).collect();
    store.sync(many).unwrap();
    let tables = |store: &AddressStore| {
        let Indices { destination, source, name, orphan, uid, id } = &store.0.indices;
        [destination.tables(), source.tables(), name.tables(), orphan.tables(), uid.tables(), id.tables()]
    };
    let before = tables(&store);
    let mut changed = config("c9999");
    changed.delivery.wait_seconds = 1;
    store.put(changed.clone()).unwrap();
    let swapped = tables(&store)
        .into_iter()
        .zip(&before)
        .map(|(now, before)| now.iter().zip(before).filter(|(now, before)| now != before).count());
    assert_eq!(swapped.collect::<Vec<_>>(), [1, 1, 1, 0, 1, 1]);

    let revision = store.state().revision;
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.state().revision, store.state().channels), (revision, 10_000));
    assert_eq!(store.destination("acme/c9999")[0].config, changed);
}

#[test]
fn a_destination_belongs_to_the_channels_that_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let sharing = |number: usize| {
        let mut config = config(&format!("c{number}"));
        config.destinations.push("acme/all".parse().unwrap());
        config.shared_destination = true;
        config
    };
    let full: Vec<_> = (0..SHARED_DESTINATION_CHANNELS_MAX).map(sharing).collect();
    store.sync(full.clone()).unwrap();
    let ids: BTreeSet<_> = store.destination("acme/all").iter().map(|entry| entry.id).collect();
    assert_eq!(ids, full.iter().map(|config| id_of(config.uid)).collect());
    assert_eq!(store.destination("acme/c7").len(), 1);

    let mut more = full.clone();
    more.push(sharing(32));
    for error in [store.put(sharing(32)).unwrap_err(), store.sync(more).unwrap_err()] {
        assert!(error.to_string().contains("at most 32"), "{error}");
    }
    let mut alone = sharing(31);
    alone.shared_destination = false;
    let error = store.put(alone).unwrap_err();
    assert!(error.to_string().contains("sharedDestination: true"), "{error}");

    store.sync(full[1..].to_vec()).unwrap();
    assert_eq!(store.destination("acme/all").len(), 31);
    drop(store);
    assert_eq!(open(folder.path()).destination("acme/all").len(), 31);
}

#[test]
fn a_manifest_gets_the_next_uid_if_its_channel_was_deleted_and_else_keeps_the_channel() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let uid = |store: &AddressStore| store.by_name("acme", "one").unwrap().config.uid;
    let (set, mut uids) = (|| vec![config("one"), config("two")], Vec::new());
    for _ in 0..3 {
        store.sync_manifests(set()).unwrap();
        // The same manifest is the same channel, in the set or as an orphan.
        store.sync_manifests(set()).unwrap();
        store.sync_manifests(vec![config("two")]).unwrap();
        store.sync_manifests(set()).unwrap();
        uids.push(uid(&store));
        store.remove(uid(&store)).unwrap();
    }
    assert_eq!((uids[0], store.state().orphans), (config("one").uid, 0));
    uids.dedup();
    assert_eq!(uids.len(), 3);
    store.sync_manifests(set()).unwrap();
    let (fourth, other) = (uid(&store), store.by_name("acme", "two").unwrap().config.uid);
    assert!(!uids.contains(&fourth) && other == config("two").uid);
    drop(store);
    // An operator names UIDs explicitly, and a deleted one never comes back.
    let store = open(folder.path());
    assert!(matches!(store.put(config("one")), Err(ApplyError::Deleted { .. })));
    assert!(matches!(store.sync(set()), Err(ApplyError::Deleted { .. })));
    assert_eq!(store.sync_manifests(set()).unwrap(), Changes::default());
    assert_eq!(uid(&store), fourth);
}
