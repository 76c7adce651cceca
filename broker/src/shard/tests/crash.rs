//! Random operations on a broker that is killed, or whose power is cut, at any moment, against its answers: messages
//! answered as stored exist, messages answered as settled stay away, and no message is in two places or out of order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

mod operations;
mod promises;

use crate::shard::tests::{
    many_shards::{Many, after_half_a_start},
    *,
};
use crate::{
    channel::{Claim, State},
    log::{ChannelId, disk::simulated::Chance},
    shard::tests::crash::{
        operations::{Operation, operations},
        promises::{Answers, Promised},
    },
};

/// The wall clock of the first start: in 2026.
const WALL_MS: i64 = 1_790_000_000_000;
/// Leads of the wall clock at the following starts: ten years, a day, an hour and a second, in both directions; and one
/// clock is before 1970.
const WALL_LEADS_MS: [i64; 9] =
    [3_600_000, -315_360_000_000, 86_400_000, 0, 315_360_000_000, -1_000, -WALL_MS - 1, 1_000, -86_400_000];

/// A message: its number, and the channel that it was pushed to.
type Name = (u64, usize);

/// The place of a message after a crash.
struct FoundMessage {
    name: Name,
    channel: usize,
    state: State,
    deliveries: u32,
}

struct World {
    many: Many,
    /// The broker has one shard at each start.
    alone: bool,
    crashes: usize,
    answers: BTreeMap<Name, Answers>,
    leases: Vec<(Name, ChannelId, Claim)>,
    pushed: u64,
}

impl World {
    /// Two channels that may share a message. Dead letters of the first go to the third.
    fn new(shards: usize, cold: bool) -> Self {
        let [mut one, mut two, dead] = ["one", "two", "dead"].map(channel);
        one.dead_letter.channel = Some("dead".into());
        one.delivery.max_deliveries = 3;
        two.delivery.max_deliveries = 3;
        // Channels between them, so that the third belongs to another shard than the first, with two shards and with
        // three.
        let between = ["three", "four"].map(channel);
        let channels = [vec![one, two], between.to_vec(), vec![dead]].concat();
        let mut many = Many::by(TimeSource::of_test(WALL_MS), channels, shards);
        many.entries.drain(2..4);
        if cold {
            many.forget_what_is_read();
        }
        let [of_one, of_dead] = [0, 2].map(|channel| many.shard_of(many.entries[channel].id));
        assert!(of_one != of_dead || shards == 1);
        Self { many, alone: shards == 1, crashes: 0, answers: BTreeMap::new(), leases: Vec::new(), pushed: 0 }
    }

    fn run(shards: usize, cold: bool, operations: &[Operation]) {
        let mut world = Self::new(shards, cold);
        for operation in operations {
            match *operation {
                Operation::Kill(shards, again) => world = world.crash(None, again.map(Chance::new), shards),
                Operation::PowerCut(shards, seed, again) => {
                    world = world.crash(Some(Chance::new(seed)), again.map(Chance::new), shards);
                }
                _ => world.do_one(operation),
            }
        }
        world.crash(None, None, 1);
    }

    fn do_one(&mut self, operation: &Operation) {
        match operation {
            Operation::Push { channels, bytes } => self.push(channels, *bytes),
            Operation::Pull(channel) => self.pull(*channel),
            Operation::Settle(index) => {
                let Some((name, channel, claim)) = self.held(*index) else { return };
                if let Ok(ticket) = self.many.shard(channel).settle(channel, claim) {
                    self.answers.get_mut(&name).unwrap().settled.get_or_insert(ticket);
                }
            }
            Operation::Reject(index) => {
                let Some((name, channel, claim)) = self.held(*index) else { return };
                if let Ok(ticket) = self.many.shard(channel).reject(channel, claim, Some("no")) {
                    let answers = self.answers.get_mut(&name).unwrap();
                    answers.rejected.get_or_insert(ticket);
                    answers.revived = None;
                }
            }
            Operation::Release(index) => {
                let Some((name, channel, claim)) = self.held(*index) else { return };
                let release = Release { counted: true, delay: None };
                if self.many.shard(channel).release(channel, claim, release).map(drop).is_ok() {
                    self.answers.get_mut(&name).unwrap().revived = None;
                }
            }
            Operation::Renew(index) => {
                let Some((_, channel, claim)) = self.held(*index) else { return };
                let _ = self.many.shard(channel).renew(channel, claim, Some(3600)).map(drop);
            }
            Operation::Redrive => self.redrive(),
            Operation::RunTurns(steps) => (0..*steps).for_each(|_| self.many.run_turn()),
            Operation::Begin(shard) => self.many.begin(shard % self.many.shards.len()),
            Operation::HoldBack(shard) => self.many.hold_back(shard % self.many.shards.len()),
            Operation::ReleaseSyncs(shard) => self.many.release(shard % self.many.shards.len()),
            Operation::Commit => self.many.commit(),
            Operation::Reclaim(shard) => self.many.reclaim(shard % self.many.shards.len()),
            Operation::Kill(..) | Operation::PowerCut(..) => unreachable!("the caller crashes"),
        }
    }

    /// One of the valid leases, the newest first. A settle of one's own dead letter is answered as done although it
    /// stays, so such leases are left out.
    fn held(&self, index: usize) -> Option<(Name, ChannelId, Claim)> {
        let good = |(name, channel, claim): &&(Name, ChannelId, Claim)| {
            self.answers.contains_key(name) && self.many.shard(*channel).holds(*channel, *claim)
        };
        let good: Vec<_> = self.leases.iter().rev().filter(good).collect();
        good.get(index % good.len().max(1)).copied().copied()
    }

    fn push(&mut self, channels: &[usize], bytes: usize) {
        self.pushed += 1;
        let content = format!("{} {}", self.pushed, "x".repeat(bytes));
        let Pushed { ticket: pushed, .. } = self.many.push(channels, message(&content)).unwrap();
        for channel in channels {
            let answers = Answers::new(pushed.clone(), self.beside(*channel));
            self.answers.insert((self.pushed, *channel), answers);
        }
    }

    /// Messages to a channel that were not answered as stored yet.
    fn beside(&self, channel: usize) -> Vec<u64> {
        let answers =
            self.answers.iter().filter(|(name, answers)| name.1 == channel && !is_kept(&answers.pushed));
        answers.map(|(name, _)| name.0).collect()
    }

    fn pull(&mut self, channel: usize) {
        let Some(delivery) = self.many.pull(channel, 3_600_000) else { return };
        let name = name(channel, &self.many.content(delivery.content).content);
        self.leases.push((name, delivery.channel, delivery.granted.claim()));
        self.answers.get_mut(&name).unwrap().leased.push(delivery.ticket);
    }

    /// Redrives all dead letters of the third channel to the first.
    fn redrive(&mut self) {
        let dead_letters = self.dead_letters();
        let ticket = self.many.redrive(2, 0);
        let stay = self.dead_letters();
        for name in dead_letters.difference(&stay) {
            let answers = self.answers.get_mut(name).unwrap();
            (answers.redriven, answers.rejected, answers.revived) = (true, None, Some(ticket.clone()));
        }
    }

    /// The messages of the third channel.
    fn dead_letters(&mut self) -> BTreeSet<Name> {
        self.found().into_iter().filter(|found| found.channel == 2).map(|found| found.name).collect()
    }

    /// Every message, channel by channel, in order.
    fn found(&mut self) -> Vec<FoundMessage> {
        // A channel shows messages that were moved to it at its next turn.
        self.many.shards.iter().for_each(|shard| shard.lock().elapse());
        let mut found = Vec::new();
        for (channel, entry) in self.many.entries.clone().into_iter().enumerate() {
            let shard = self.many.shard(entry.id);
            let Some(there) = shard.facts.channels.get(&entry.id) else { continue };
            let messages: Vec<_> =
                there.state.messages().map(|(sequence, message)| (sequence, message.into_owned())).collect();
            assert_eq!(there.live.counters.ready(), there.state.count(State::Ready));
            drop(shard);
            for (sequence, message) in messages {
                let position = message.stored.position;
                let content = self.many.shard(entry.id).content(entry.id, sequence, None, position);
                let name = name(channel, &self.many.content(content.unwrap()).content);
                let (state, deliveries) = (message.state(), message.lease_counts.deliveries());
                found.push(FoundMessage { name, channel, state, deliveries });
            }
        }
        found
    }

    /// Leases that a kill does not end: they were answered, and by no clock has an hour passed.
    fn leases_that_last(&self, killed: bool) -> Vec<(Name, ChannelId, Claim)> {
        let lasts = |(name, channel, claim): &&(Name, ChannelId, Claim)| {
            let answers = self.answers.get(name).and_then(|answers| answers.leased.last());
            killed && answers.is_some_and(is_kept) && self.many.shard(*channel).holds(*channel, *claim)
        };
        self.leases.iter().filter(lasts).copied().collect()
    }

    /// The next start is after a reboot, or not; and has another wall clock.
    fn set_clocks(&mut self) {
        let source = &self.many.source;
        source.set_wall(WALL_MS + WALL_LEADS_MS[self.crashes % WALL_LEADS_MS.len()]);
        if self.crashes.is_multiple_of(2) {
            source.reboot();
        }
        self.crashes += 1;
    }

    /// Kills the process or cuts the power, and starts the broker again. The messages are compared with the answers,
    /// and are the truth from then on.
    fn crash(mut self, power_cut: Option<Chance>, mut again: Option<Chance>, shards: usize) -> Self {
        let shards = if self.alone { 1 } else { shards };
        let held = self.leases_that_last(power_cut.is_none() && again.is_none());
        // The answers come first, then the disk: it may have more.
        let answers: BTreeMap<Name, Answers> = std::mem::take(&mut self.answers);
        let killed = power_cut.is_none() && again.is_none();
        let promises: BTreeMap<_, _> =
            answers.into_iter().map(|(name, answers)| (name, answers.promised(killed))).collect();
        let mut left = self.many.disks_after_end(power_cut);
        self.set_clocks();
        if let Some(chance) = &mut again
            && chance.below(2) == 0
        {
            let others = if self.alone { 1 } else { 1 + chance.below(3) as usize };
            left = after_half_a_start(left, others, chance);
        }
        self.many = self.many.start(left, shards);
        if let Some(mut chance) = again {
            for _ in 0..chance.below(12) {
                self.many.begin(chance.below(shards as u64) as usize);
                self.many.run_turn();
            }
            let left = self.many.disks_after_end(Some(chance));
            self.many = self.many.start(left, shards);
        }
        for (name, channel, claim) in held {
            assert!(self.many.shard(channel).holds(channel, claim), "the lease of {name:?} has ended");
        }
        // Messages in relay to another shard arrive.
        self.many.commit();
        let mut found: BTreeMap<Name, FoundMessage> = BTreeMap::new();
        let mut before: [Vec<u64>; 2] = Default::default();
        for one in self.found() {
            let Some(promised) = promises.get(&one.name) else {
                panic!("message {:?} was never pushed", one.name)
            };
            if one.channel < 2 && !promised.redriven {
                let number = one.name.0;
                let may_follow = |earlier: &u64| {
                    let other = &promises[&(*earlier, one.channel)];
                    *earlier < number || (!self.alone && other.beside.contains(&number))
                };
                assert!(before[one.channel].iter().all(may_follow), "{:?} is out of order", one.name);
                before[one.channel].push(number);
            }
            let twice = found.insert(one.name, one);
            assert!(twice.is_none(), "{:?} is in two places", twice.map(|one| one.name));
        }
        are_in_all_or_in_none(&promises, &found);
        for (name, promised) in promises {
            if let Some(answers) = promised.hold_against(name, found.get(&name)) {
                self.answers.insert(name, answers);
            }
        }
        self
    }
}

/// A message to both channels is in both or in neither, unless it was being settled in one of them.
fn are_in_all_or_in_none(promises: &BTreeMap<Name, Promised>, found: &BTreeMap<Name, FoundMessage>) {
    let number_of = |name: &Name| name.0;
    for number in promises.keys().map(number_of).collect::<BTreeSet<_>>() {
        let of_both = [0, 1].map(|channel| promises.get(&(number, channel)));
        if let [Some(one), Some(two)] = of_both
            && !one.may_be_gone
            && !two.may_be_gone
        {
            let [one, two] = [0, 1].map(|channel| found.contains_key(&(number, channel)));
            assert!(one == two, "message {number} is in one of its two channels");
        }
    }
}

/// The channel that a message was pushed to follows from its place: the third only has dead letters of the first.
fn name(channel: usize, content: &Content) -> Name {
    let text = std::str::from_utf8(&content.body).unwrap();
    (text.split_once(' ').unwrap().0.parse().unwrap(), usize::from(channel == 1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn answers_before_a_crash_are_true_after_it(
        cold: bool,
        operations in operations()
    ) {
        World::run(1, cold, &operations);
    }

    #[test]
    fn answers_are_true_with_any_number_of_shards(
        shards in 2..4_usize,
        cold: bool,
        operations in operations()
    ) {
        World::run(shards, cold, &operations);
    }
}
