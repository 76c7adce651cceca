//! Tests of the desired set: each rule, and that a set after any changes equals a set from scratch.

use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*};
use restante_crds::{
    conflicts::{self, Claim},
    dead_letters::check,
    message_channel::{ChannelRef, DeletionPolicy},
};
use serde_json::json;

use super::*;

fn channel(number: u128, name: &str, source: &str, generation: i64) -> MessageChannel {
    serde_json::from_value(json!({
        "apiVersion": "restante.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {
            "name": name,
            "namespace": "acme",
            "uid": Uuid::from_u128(number),
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "source": source, "access": { "anonymous": true } },
    }))
    .unwrap()
}

/// Makes these channels the claimants, without the excluded ones.
fn update(desired: &mut Desired, channels: &[MessageChannel], excluded: &[u128]) {
    let uid = |channel: &MessageChannel| channel.metadata.uid.as_ref().unwrap().parse::<Uuid>().unwrap();
    let is_excluded = |uid: Uuid| excluded.contains(&uid.as_u128());
    let claiming: Vec<_> = channels.iter().filter(|one| !is_excluded(uid(one))).collect();
    for gone in desired.claimants().collect::<Vec<_>>() {
        if !claiming.iter().any(|one| uid(one) == gone) {
            desired.remove(gone);
        }
    }
    claiming.iter().for_each(|channel| desired.set(channel));
    desired.update();
    assert_equal_to_a_set_from_scratch(desired, &claiming);
}

fn assert_equal_to_a_set_from_scratch(desired: &Desired, claiming: &[&MessageChannel]) {
    // An invalid channel claims nothing.
    let valid = claiming.iter().filter_map(|channel| Some((*channel, compile(channel).ok()?)));
    let configs: Vec<(&MessageChannel, ChannelConfig)> = valid
        .map(|(channel, config)| {
            let generation = desired.claimed(config.uid).unwrap().generation;
            // A deletion alone is no change for the pods.
            let known = ChannelConfig { generation, ..config.clone() };
            (channel, if channel.metadata.deletion_timestamp.is_some() { known } else { config })
        })
        .collect();
    assert_eq!(desired.claimants().count(), configs.len());
    let created = |channel: &MessageChannel| channel.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let claims: Vec<Claim<'_>> =
        configs.iter().map(|(channel, config)| Claim { config, created: created(channel) }).collect();
    let (mut lost, mut winners) = (HashMap::new(), Vec::new());
    for (claim, verdict) in claims.iter().zip(conflicts::resolve(&claims)) {
        match verdict {
            Some(conflict) => {
                let generation = claim.config.generation;
                lost.insert(claim.config.uid, Lost { generation, conflict });
            }
            None => winners.push(*claim),
        }
    }
    let (mut faults, mut channels) = (HashMap::new(), HashMap::new());
    for (claim, fault) in winners.iter().zip(check(&winners)) {
        let for_pods = fault.as_ref().and_then(|fault| fault.without_cycle(claim.config));
        channels.insert(claim.config.uid, for_pods.unwrap_or_else(|| claim.config.clone()));
        faults.extend(fault.map(|fault| (claim.config.uid, fault)));
    }
    assert_eq!(*desired.lost(), lost);
    assert_eq!(*desired.dead_letter_faults(), faults);
    let held = desired.channels().iter().map(|(uid, config)| (*uid, (**config).clone()));
    assert_eq!(held.collect::<HashMap<_, _>>(), channels);
    assert_eq!(desired.revision(), Revision::of(channels.values()));
}

#[test]
fn the_winner_is_in_the_set_and_the_loser_has_the_conflict() {
    let mut desired = Desired::default();
    update(&mut desired, &[channel(1, "one", "x", 1), channel(2, "two", "x", 4)], &[]);
    assert_eq!(desired.channels().keys().collect::<Vec<_>>(), [&Uuid::from_u128(1)]);
    let lost = &desired.lost()[&Uuid::from_u128(2)];
    assert_eq!((lost.generation, lost.conflict.winner.as_str()), (4, "acme/one"));
}

#[test]
fn a_losing_channel_wins_once_the_winner_is_gone() {
    let mut desired = Desired::default();
    let both = [channel(1, "one", "x", 1), channel(2, "two", "x", 1)];
    update(&mut desired, &both, &[]);
    update(&mut desired, &both, &[1]);
    assert_eq!(desired.channels().keys().collect::<Vec<_>>(), [&Uuid::from_u128(2)]);
    assert!(desired.lost().is_empty());
}

#[test]
fn a_new_generation_changes_the_revision_and_the_same_one_does_not() {
    let mut desired = Desired::default();
    update(&mut desired, &[channel(1, "one", "x", 1)], &[]);
    let (revision, config) = (desired.revision(), Arc::clone(&desired.channels()[&Uuid::from_u128(1)]));
    update(&mut desired, &[channel(1, "one", "x", 1)], &[]);
    assert!(Arc::ptr_eq(&config, &desired.channels()[&Uuid::from_u128(1)]));
    update(&mut desired, &[channel(1, "one", "y", 2)], &[]);
    assert_ne!(desired.revision(), revision);
    desired.remove(Uuid::from_u128(1));
    desired.update();
    assert_eq!(desired.revision(), Revision::default());
}

#[test]
fn a_deletion_does_not_change_the_revision_but_an_edit_does() {
    let mut desired = Desired::default();
    update(&mut desired, &[channel(1, "one", "x", 1)], &[]);
    let revision = desired.revision();
    let mut deleted = channel(1, "one", "x", 2);
    deleted.metadata.deletion_timestamp = deleted.metadata.creation_timestamp.clone();
    update(&mut desired, &[deleted.clone()], &[]);
    assert_eq!(desired.revision(), revision);
    deleted.spec.source = Some("y".into());
    update(&mut desired, &[deleted], &[]);
    assert_ne!(desired.revision(), revision);
}

#[test]
fn deletion_policy_drain_closes_a_deleted_channel_and_block_opens_it_again() {
    let mut desired = Desired::default();
    let closing = |desired: &Desired| desired.channels()[&Uuid::from_u128(1)].closing;
    let mut drained = channel(1, "one", "x", 1);
    drained.spec.deletion_policy = DeletionPolicy::Drain;
    update(&mut desired, &[drained.clone()], &[]);
    assert!(!closing(&desired));
    drained.metadata.deletion_timestamp = drained.metadata.creation_timestamp.clone();
    drained.metadata.generation = Some(2);
    update(&mut desired, &[drained.clone()], &[]);
    assert!(closing(&desired));
    drained.spec.deletion_policy = DeletionPolicy::Block;
    drained.metadata.generation = Some(3);
    update(&mut desired, &[drained], &[]);
    assert!(!closing(&desired));
}

/// A channel with the dead-letter channel `to`. A smaller number is an older channel.
fn sending(number: u128, name: &str, to: &str, generation: i64) -> MessageChannel {
    let mut channel = channel(number, name, name, generation);
    channel.spec.dead_letter.channel_ref = (!to.is_empty()).then(|| ChannelRef { name: to.into() });
    channel
}

fn reason(desired: &Desired, number: u128) -> Option<&'static str> {
    desired.dead_letter_faults().get(&Uuid::from_u128(number)).map(DeadLetterFault::reason)
}

#[test]
fn a_missing_dead_letter_channel_does_not_change_the_set() {
    let mut desired = Desired::default();
    let both = [sending(1, "orders", "dead", 1), sending(2, "dead", "", 1)];
    update(&mut desired, &both, &[]);
    let config = Arc::clone(&desired.channels()[&Uuid::from_u128(1)]);
    assert_eq!(reason(&desired, 1), None);
    // The dead-letter channel is released. The broker sees that itself, so nothing is sent.
    update(&mut desired, &both, &[2]);
    assert_eq!(reason(&desired, 1), Some("DeadLetterNotFound"));
    assert!(Arc::ptr_eq(&config, &desired.channels()[&Uuid::from_u128(1)]));
    update(&mut desired, &both, &[]);
    assert_eq!(reason(&desired, 1), None);
}

#[test]
fn a_losing_channel_takes_no_dead_letters() {
    let mut desired = Desired::default();
    let mut loser = sending(3, "dead", "", 1);
    loser.spec.source = Some("orders".into());
    update(&mut desired, &[sending(1, "orders", "dead", 1), loser], &[]);
    assert_eq!(reason(&desired, 1), Some("DeadLetterNotFound"));
}

#[test]
fn no_pod_gets_a_dead_letter_cycle_and_the_ref_applies_once_there_is_none() {
    let mut desired = Desired::default();
    let target = |desired: &Desired| desired.channels()[&Uuid::from_u128(2)].dead_letter.channel.clone();
    let cycle = [sending(1, "a", "b", 1), sending(2, "b", "a", 1)];
    update(&mut desired, &cycle, &[]);
    assert_eq!((reason(&desired, 1), reason(&desired, 2)), (None, Some("DeadLetterCycle")));
    assert_eq!(target(&desired), None);
    // A second update keeps the allocation: nothing is sent.
    let sent = Arc::clone(&desired.channels()[&Uuid::from_u128(2)]);
    update(&mut desired, &cycle, &[]);
    assert!(Arc::ptr_eq(&sent, &desired.channels()[&Uuid::from_u128(2)]));
    // An edit of the other channel ends the cycle, and the unchanged spec of this one applies.
    update(&mut desired, &[sending(1, "a", "", 2), sending(2, "b", "a", 1)], &[]);
    assert_eq!(reason(&desired, 2), None);
    assert_eq!(target(&desired).as_deref(), Some("a"));
}

/// What happens to one channel.
#[derive(Debug, Clone)]
enum Event {
    Edited(Edit),
    Deleted(u128),
    Gone(u128),
}

#[derive(Debug, Clone)]
struct Edit {
    number: u128,
    source: u8,
    destinations: Vec<u8>,
    shared: bool,
    dead_letters_to: Option<u8>,
    drains: bool,
}

const CHANNELS: u128 = 16;
const NAMES: u128 = 12;

fn event() -> impl Strategy<Value = Event> {
    let edit =
        (0..CHANNELS, 0..12_u8, vec(0..6_u8, 1..3), any::<bool>(), option::of(0..13_u8), any::<bool>());
    let edit = edit.prop_map(|(number, source, mut destinations, shared, dead_letters_to, drains)| {
        destinations.dedup();
        Event::Edited(Edit { number, source, destinations, shared, dead_letters_to, drains })
    });
    prop_oneof![6 => edit, 2 => (0..CHANNELS).prop_map(Event::Deleted), 2 => (0..CHANNELS).prop_map(Event::Gone)]
}

/// A channel after an edit. Some channels have the same name, as when a list is behind; some the same age, or none.
fn edited(edit: &Edit, generation: i64) -> MessageChannel {
    let Edit { number, source, destinations, shared, dead_letters_to, drains } = edit;
    let name = format!("c{}", number % NAMES);
    let mut channel = channel(*number, &name, &format!("s{source}"), generation);
    let second = (number * 5) % 4;
    channel.metadata.creation_timestamp =
        (second < 3).then(|| serde_json::from_value(json!(format!("2026-01-01T00:00:0{second}Z"))).unwrap());
    channel.spec.destinations = Some(destinations.iter().map(|one| format!("d{one}")).collect());
    channel.spec.shared_destination = *shared;
    channel.spec.dead_letter.channel_ref = dead_letters_to.map(|to| ChannelRef { name: format!("c{to}") });
    channel.spec.deletion_policy = if *drains { DeletionPolicy::Drain } else { DeletionPolicy::Block };
    channel
}

/// Channels without conflicts, of which most send their dead letters to another one: chains and cycles.
fn dead_letter_event() -> impl Strategy<Value = Event> {
    let edit = (0..8_u128, option::weighted(0.9, 0..8_u8), any::<bool>());
    let edit = edit.prop_map(|(number, dead_letters_to, drains)| {
        let (source, shared) = (number as u8, false);
        Event::Edited(Edit { number, source, destinations: vec![source], shared, dead_letters_to, drains })
    });
    prop_oneof![8 => edit, 1 => (0..8_u128).prop_map(Event::Deleted), 1 => (0..8_u128).prop_map(Event::Gone)]
}

fn assert_each_batch_leads_to_a_set_from_scratch(batches: &[Vec<Event>]) {
    let mut desired = Desired::default();
    let mut there: BTreeMap<u128, MessageChannel> = BTreeMap::new();
    // A pod that gets only the changes.
    let mut pod: HashMap<Uuid, Arc<ChannelConfig>> = HashMap::new();
    let mut generation = 0;
    for batch in batches {
        for event in batch {
            generation += 1;
            match event {
                Event::Edited(edit) => {
                    there.insert(edit.number, edited(edit, generation));
                }
                Event::Deleted(number) => {
                    if let Some(channel) = there.get_mut(number) {
                        channel.metadata.generation = Some(generation);
                        channel.metadata.deletion_timestamp =
                            Some(serde_json::from_value(json!("2026-02-01T00:00:00Z")).unwrap());
                    }
                }
                Event::Gone(number) => {
                    there.remove(number);
                }
            }
            let (Event::Edited(Edit { number, .. }) | Event::Deleted(number) | Event::Gone(number)) = event;
            match there.get(number) {
                Some(channel) => desired.set(channel),
                None => desired.remove(Uuid::from_u128(*number)),
            }
        }
        for Change { uid, before, after } in desired.update() {
            let known = match after {
                Some(after) => pod.insert(uid, after),
                None => pod.remove(&uid),
            };
            assert_eq!(known, before);
        }
        assert_equal_to_a_set_from_scratch(&desired, &there.values().collect::<Vec<_>>());
        assert_eq!(&pod, desired.channels());
        assert!(desired.update().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_changes_the_set_equals_a_set_from_scratch(batches in vec(vec(event(), 1..5), 1..30)) {
        assert_each_batch_leads_to_a_set_from_scratch(&batches);
    }

    #[test]
    fn after_any_changes_of_dead_letter_channels_the_set_equals_a_set_from_scratch(
        batches in vec(vec(dead_letter_event(), 1..3), 1..40),
    ) {
        assert_each_batch_leads_to_a_set_from_scratch(&batches);
    }
}
