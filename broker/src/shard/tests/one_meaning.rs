//! A record means the same live and in replay: after every operation, a shard that is replayed from its log equals the
//! live one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use restante_wire::channel::WhenFull;

use crate::shard::tests::{many_shards::Many, *};
use crate::{
    channel::{ChannelState, Claim, Elapsed, LeaseCounts, Phase, Policy, Sequence, State},
    log::{ParcelId, disk::simulated::Simulated},
    shard::facts::{
        Facts, OpenParcel, Stage,
        replay::{ReplayedKey, Replaying},
    },
};

const WALL_MS: i64 = 1_700_000_000_000;

#[derive(Debug, Clone)]
enum Operation {
    Push {
        channels: Vec<usize>,
        bytes: usize,
        key: Option<u8>,
        group: Option<u8>,
        delay: Option<Millis>,
        ttl: Option<Millis>,
    },
    Pull(usize),
    Settle(usize),
    Reject(usize),
    Release(usize, bool, Option<Millis>),
    Renew(usize),
    /// Of the dead letters that stayed in their channel.
    Redrive(usize),
    /// Of the dead letters in the dead-letter channel.
    Return,
    Purge(usize, State),
    Pass(Millis),
    /// The relay takes a step.
    RunTurn,
    Reclaim(usize),
    Close(usize),
    /// The next start.
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    let channels = prop_oneof![3 => Just(vec![0]), 2 => Just(vec![1]), 2 => Just(vec![0, 1])];
    let push = (
        channels,
        prop_oneof![4 => 10..200_usize, 1 => 10_000..20_000_usize],
        prop::option::of(0..4_u8),
        prop::option::weighted(0.3, 0..2_u8),
        prop::option::weighted(0.2, 1..5_000_u64),
        prop::option::weighted(0.3, 5_000..60_000_u64),
    );
    let push = push.prop_map(|(channels, bytes, key, group, delay, ttl)| Operation::Push {
        channels,
        bytes,
        key,
        group,
        delay,
        ttl,
    });
    let delay = prop::option::of(0..5_000_u64);
    let state = prop_oneof![Just(State::Ready), Just(State::Leased), Just(State::Dead)];
    prop_oneof![
        10 => push,
        8 => (0..3_usize).prop_map(Operation::Pull),
        4 => (0..8_usize).prop_map(Operation::Settle),
        3 => (0..8_usize).prop_map(Operation::Reject),
        4 => (0..8_usize, any::<bool>(), delay).prop_map(|(of, counted, delay)| Operation::Release(of, counted, delay)),
        2 => (0..8_usize).prop_map(Operation::Renew),
        1 => (0..3_usize).prop_map(Operation::Redrive),
        1 => Just(Operation::Return),
        1 => (0..3_usize, state).prop_map(|(channel, state)| Operation::Purge(channel, state)),
        4 => (100..20_000_u64).prop_map(Operation::Pass),
        4 => Just(Operation::RunTurn),
        2 => (0..2_usize).prop_map(Operation::Reclaim),
        1 => (1..3_usize).prop_map(Operation::Close),
        1 => Just(Operation::Restart),
    ]
}

/// A message without its positions.
type Described = (Sequence, u32, Millis, Option<String>, Option<Millis>, LeaseCounts, Phase);

/// The facts of a shard, without positions.
#[derive(Debug, PartialEq)]
struct Description {
    /// The next sequence and the messages of each channel.
    channels: BTreeMap<ChannelId, (Sequence, Vec<Described>)>,
    /// The channels to come of each parcel.
    parcels: BTreeMap<ParcelId, Vec<ChannelId>>,
}

fn messages(state: &ChannelState) -> Vec<Described> {
    let described = |(sequence, message): (Sequence, std::borrow::Cow<'_, crate::channel::Message>)| {
        let message = message.into_owned();
        let group = message.group.as_deref().map(str::to_owned);
        let stored = message.stored;
        let (expires_at, lease_counts) = (message.expires_at, message.lease_counts);
        (sequence, stored.bytes, stored.enqueued_at, group, expires_at, lease_counts, message.phase)
    };
    state.messages().map(described).collect()
}

fn parcels<S: Stage>(facts: &Facts<S>) -> BTreeMap<ParcelId, Vec<ChannelId>> {
    let to_come = |open: &OpenParcel| open.to_come.iter().map(|target| target.channel).collect();
    facts.parcels.iter().map(|(id, open)| (*id, to_come(open))).collect()
}

struct World {
    many: Many,
    leases: Vec<(ChannelId, Claim)>,
    pushed: u64,
}

impl World {
    fn new(shards: usize) -> Self {
        let [mut one, mut two, mut dead] = ["one", "two", "dead"].map(channel);
        one.dead_letter.channel = Some("dead".into());
        for config in [&mut one, &mut two] {
            config.deduplication_window_seconds = 20;
            config.delivery.max_deliveries = 2;
        }
        two.dead_letter.ttl_seconds = 30;
        two.when_full = WhenFull::DropOldest;
        two.limits.messages = 8;
        dead.limits.messages = 4;
        let many = Many::by(TimeSource::of_test(WALL_MS), vec![one, two, dead], shards);
        Self { many, leases: Vec::new(), pushed: 0 }
    }

    fn lease(&self, index: usize) -> Option<(ChannelId, Claim)> {
        let holds =
            |(channel, claim): &&(ChannelId, Claim)| self.many.shard(*channel).holds(*channel, *claim);
        let held: Vec<_> = self.leases.iter().rev().filter(holds).copied().collect();
        held.get(index % held.len().max(1)).copied()
    }

    fn run(mut self, operations: Vec<Operation>) {
        for operation in operations {
            let before = format!("{operation:?}");
            self = self.does(operation);
            self.compare(&before);
        }
    }

    fn does(mut self, operation: Operation) -> Self {
        match operation {
            Operation::Push { channels, bytes, key, group, delay, ttl } => {
                self.pushed += 1;
                let key = key.map(|key| keys::PushKey { hash: u128::from(key) << 32, fingerprint: 1 });
                let group = group.map(|group| group.to_string().into());
                let _ =
                    self.many.push(&channels, Push { key, group, delay, ttl, ..message(&"x".repeat(bytes)) });
            }
            Operation::Pull(channel) => {
                let id = self.many.entries[channel].id;
                if !self.many.shard(id).facts.closed.contains_key(&id) {
                    let delivery = self.many.pull(channel, 10_000);
                    let lease = delivery.map(|delivery| (delivery.channel, delivery.granted.claim()));
                    self.leases.extend(lease);
                }
            }
            Operation::Settle(index) => {
                if let Some((channel, claim)) = self.lease(index) {
                    let _ = self.many.shard(channel).settle(channel, claim);
                }
            }
            Operation::Reject(index) => {
                if let Some((channel, claim)) = self.lease(index) {
                    let _ = self.many.shard(channel).reject(channel, claim, Some("no"));
                }
            }
            Operation::Release(index, counted, delay) => {
                if let Some((channel, claim)) = self.lease(index) {
                    let _ = self.many.shard(channel).release(channel, claim, Release { counted, delay });
                }
            }
            Operation::Renew(index) => {
                if let Some((channel, claim)) = self.lease(index) {
                    let _ = self.many.shard(channel).renew(channel, claim, Some(30));
                }
            }
            Operation::Redrive(channel) => {
                let entry = self.many.entries[channel].clone();
                let _ = self.many.shard(entry.id).redrive(&entry, None, 0, 2, None).unwrap();
            }
            Operation::Return => drop(self.many.redrive(2, 1)),
            Operation::Purge(channel, state) => {
                let entry = self.many.entries[channel].clone();
                let _ = self.many.shard(entry.id).purge(&entry, state).unwrap();
            }
            Operation::Pass(time) => self.many.source.pass(std::time::Duration::from_millis(time)),
            Operation::RunTurn => self.many.run_turn(),
            Operation::Reclaim(shard) => self.many.reclaim(shard % self.many.shards.len()),
            Operation::Close(channel) => {
                let entry = self.many.entries[channel].clone();
                let _ = self.many.shard(entry.id).close(&entry, true).unwrap();
            }
            Operation::Restart => {
                self.many.commit();
                let (left, shards) = (self.many.disks_after_end(None), self.many.shards.len());
                self.many = self.many.start(left, shards);
            }
        }
        self
    }

    /// Compares each shard with one that is replayed from its log.
    fn compare(&mut self, after: &str) {
        for shard in 0..self.many.shards.len() {
            while self.many.shards[shard].lock().next_wake() == Some(0) {
                self.many.shards[shard].lock().elapse();
            }
            self.many.commit_one(shard);
        }
        for (shard, mut replayed) in self.many.replayed().into_iter().enumerate() {
            let live = self.many.shards[shard].lock();
            let now = live.clock.now();
            let replayed = replayed.facts();
            elapse(replayed, &live, now);
            let mut expected = self.described(&live);
            let of = |channel: &facts::Channel<()>| (channel.state.next_sequence(), messages(&channel.state));
            let found = Description {
                channels: replayed.channels.iter().map(|(id, channel)| (*id, of(channel))).collect(),
                parcels: parcels(replayed),
            };
            // An empty channel of which the log has nothing may start again at 0.
            expected
                .channels
                .retain(|id, (_, messages)| found.channels.contains_key(id) || !messages.is_empty());
            assert_eq!(found, expected, "shard {shard} after {after}");
            compare_incoming(&live, replayed);
            compare_keys(&live, replayed, self.many.entries[1].id, now);
        }
    }

    fn described(&self, live: &Shard<DiskLog<Simulated>>) -> Description {
        let own = self.many.entries.iter().filter(|entry| live.here.owns(entry.id));
        let open = own.filter(|entry| !live.facts.closed.contains_key(&entry.id));
        let described = open.map(|entry| {
            let messages =
                live.facts.channels.get(&entry.id).map_or(Vec::new(), |channel| messages(&channel.state));
            (entry.id, (live.known_next_sequence(entry.id), messages))
        });
        Description { channels: described.collect(), parcels: parcels(&live.facts) }
    }
}

/// Processes the events of time that have no record.
fn elapse(replayed: &mut Facts<Replaying>, live: &Shard<DiskLog<Simulated>>, now: Millis) {
    for (id, channel) in &mut replayed.channels {
        let Some(entry) = live.store.by_id(*id) else { continue };
        let policy = Policy::of(&entry.config);
        while let Some((sequence, elapsed)) = channel.state.decide_event(&policy, now) {
            let Elapsed::Ready(to) = elapsed else { panic!("{elapsed:?} has a record") };
            channel.state.apply(sequence, to, None).unwrap();
        }
    }
}

fn compare_incoming(live: &Shard<DiskLog<Simulated>>, replayed: &Facts<Replaying>) {
    let ((floors, receipts), (replayed_floors, replayed_receipts)) =
        (live.facts.incoming.described(), replayed.incoming.described());
    // An origin reports its floor without a record; the next parcel has it.
    let is_below = |parcel: &ParcelId| floors.get(&parcel.shard).is_some_and(|floor| parcel.number < *floor);
    for (shard, floor) in &replayed_floors {
        assert!(floor <= &floors[shard]);
    }
    let replayed: BTreeSet<_> = replayed_receipts.into_iter().filter(|(id, _)| !is_below(id)).collect();
    assert_eq!(replayed, receipts);
}

fn compare_keys(
    live: &Shard<DiskLog<Simulated>>,
    replayed: &Facts<Replaying>,
    first: ChannelId,
    now: Millis,
) {
    let of_shard = |key: &&ReplayedKey| live.here.owns(key.channel);
    for key in 0..4_u128 {
        let hash = key << 32;
        let remembered = replayed.keys.0.get(&hash).filter(of_shard).map(|key| key.expires_at);
        let is_known = !live.facts.keys.candidates(hash, now).is_empty();
        // The table rounds up to seconds.
        let may_be_known = remembered.is_some_and(|expires_at| expires_at + 1000 > now);
        // The live shard keeps the keys of a deleted channel until their part of the log is freed; a replay drops them.
        let is_closed = live.facts.closed.contains_key(&first);
        assert!(is_known || remembered.is_none_or(|expires_at| expires_at <= now), "key {key} is forgotten");
        assert!(!is_known || may_be_known || is_closed, "key {key} is not in the log");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_replayed_shard_equals_the_live_one(operations in prop::collection::vec(operation(), 1..60)) {
        World::new(1).run(operations);
    }

    #[test]
    fn replayed_shards_equal_the_live_ones(operations in prop::collection::vec(operation(), 1..60)) {
        World::new(2).run(operations);
    }
}
