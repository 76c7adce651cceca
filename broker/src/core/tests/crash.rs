//! Random operations on a core whose process is killed or whose power is cut at any moment, against what it told: what was
//! told as stored is there, what was told as settled stays away, and nothing is in two places or out of order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{many::Many, *};
use crate::{
    channel::{Claim, State},
    log::disk::simulated::Chance,
};

#[derive(Debug, Clone)]
enum Operation {
    Push {
        channels: Vec<usize>,
        bytes: usize,
    },
    Pull(usize),
    Settle(usize),
    Reject(usize),
    Release(usize),
    Renew(usize),
    Redrive,
    /// What cores have for one another goes a step on.
    GoOn,
    /// On one of the cores.
    Begin(usize),
    Commit,
    /// On one of the cores.
    Reclaim(usize),
    /// The next start has so many cores.
    Kill(usize),
    /// The same after a power cut, by chance.
    PowerCut(usize, u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let channels = prop_oneof![3 => Just(vec![0]), 1 => Just(vec![1]), 2 => Just(vec![0, 1])];
    let bytes = prop_oneof![4 => 10..200_usize, 2 => 10..20_000_usize];
    prop_oneof![
        10 => (channels, bytes).prop_map(|(channels, bytes)| Operation::Push { channels, bytes }),
        8 => (0..3_usize).prop_map(Operation::Pull),
        6 => (0..8_usize).prop_map(Operation::Settle),
        2 => (0..8_usize).prop_map(Operation::Reject),
        3 => (0..8_usize).prop_map(Operation::Release),
        1 => (0..8_usize).prop_map(Operation::Renew),
        1 => Just(Operation::Redrive),
        6 => Just(Operation::GoOn),
        8 => (0..8_usize).prop_map(Operation::Begin),
        4 => Just(Operation::Commit),
        3 => (0..8_usize).prop_map(Operation::Reclaim),
        2 => (1..4_usize).prop_map(Operation::Kill),
        2 => (1..4_usize, any::<u64>()).prop_map(|(cores, seed)| Operation::PowerCut(cores, seed)),
    ]
}

/// A message as it was told of. A ticket that is kept is a promise.
#[derive(Debug)]
struct Told {
    pushed: Ticket,
    settled: Option<Ticket>,
    rejected: Option<Ticket>,
    /// Its deliveries that a crash has shown, and those since.
    delivered: u32,
    handed_out: Vec<Ticket>,
    /// It got another chance, at the end of its channel.
    redriven: bool,
    /// Messages to its channel that were not told as stored when it was pushed: they may come before it or after it.
    beside: Vec<u64>,
}

/// A message: its number, and the channel that it was pushed to.
type Name = (u64, usize);

/// Where a message was found.
struct Found {
    name: Name,
    channel: usize,
    state: State,
    deliveries: u32,
}

struct World {
    many: Many,
    /// The broker has one core at each start.
    alone: bool,
    told: BTreeMap<Name, Told>,
    leases: Vec<(Name, u32, Claim)>,
    pushed: u64,
}

impl World {
    /// Two channels that may share a message. What the first gives up goes to the third.
    fn new(alone: bool) -> Self {
        let [mut one, mut two, dead] = ["one", "two", "dead"].map(channel);
        one.dead_letter.channel = Some("dead".into());
        one.delivery.max_deliveries = 3;
        two.delivery.max_deliveries = 3;
        let many = Many::new(vec![one, two, dead], 1);
        Self { many, alone, told: BTreeMap::new(), leases: Vec::new(), pushed: 0 }
    }

    fn run(alone: bool, operations: &[Operation]) {
        let mut world = Self::new(alone);
        for operation in operations {
            match *operation {
                Operation::Kill(cores) => world = world.crash(None, cores),
                Operation::PowerCut(cores, seed) => world = world.crash(Some(Chance::new(seed)), cores),
                _ => world.do_one(operation),
            }
        }
        world.crash(None, 1);
    }

    fn do_one(&mut self, operation: &Operation) {
        match operation {
            Operation::Push { channels, bytes } => self.push(channels, *bytes),
            Operation::Pull(channel) => self.pull(*channel),
            Operation::Settle(index) => {
                let Some((name, channel, claim)) = self.held(*index) else { return };
                if let Ok(ticket) = self.many.core(channel).settle(channel, claim) {
                    self.told.get_mut(&name).unwrap().settled.get_or_insert(ticket);
                }
            }
            Operation::Reject(index) => {
                let Some((name, channel, claim)) = self.held(*index) else { return };
                if let Ok(ticket) = self.many.core(channel).reject(channel, claim, Some("no")) {
                    self.told.get_mut(&name).unwrap().rejected.get_or_insert(ticket);
                }
            }
            Operation::Release(index) => {
                let Some((_, channel, claim)) = self.lease(*index) else { return };
                let release = Release { counted: true, delay: None };
                let _ = self.many.core(channel).release(channel, claim, release).map(drop);
            }
            Operation::Renew(index) => {
                let Some((_, channel, claim)) = self.lease(*index) else { return };
                let _ = self.many.core(channel).renew(channel, claim, Some(3600)).map(drop);
            }
            Operation::Redrive => {
                self.many.commit();
                for Found { name, channel, .. } in self.found() {
                    let told = self.told.get_mut(&name).unwrap();
                    told.redriven |= channel == 2;
                    if channel == 2 {
                        told.rejected = None;
                    }
                }
                self.many.redrive(2, 0);
            }
            Operation::GoOn => self.many.go_on(),
            Operation::Begin(core) => self.many.cores[core % self.many.cores.len()].lock().commit(),
            Operation::Commit => self.many.commit(),
            Operation::Reclaim(core) => self.many.reclaim(core % self.many.cores.len()),
            Operation::Kill(..) | Operation::PowerCut(..) => unreachable!("the caller crashes"),
        }
    }

    /// One of the leases, the newest first.
    fn lease(&self, index: usize) -> Option<(Name, u32, Claim)> {
        let lease = self.leases.iter().rev().nth(index).copied();
        lease.filter(|(name, ..)| self.told.contains_key(name))
    }

    /// The same if it is good: who settles a dead letter that is his own is told that it is gone, and it is not.
    fn held(&mut self, index: usize) -> Option<(Name, u32, Claim)> {
        self.lease(index).filter(|(_, channel, claim)| self.many.core(*channel).holds(*channel, *claim))
    }

    fn push(&mut self, channels: &[usize], bytes: usize) {
        self.pushed += 1;
        let content = format!("{} {}", self.pushed, "x".repeat(bytes));
        let Pushed { ticket: pushed, .. } = self.many.push(channels, message(&content)).unwrap();
        for channel in channels {
            let told = Told {
                beside: self.beside(*channel),
                pushed: pushed.clone(),
                settled: None,
                rejected: None,
                delivered: 0,
                handed_out: Vec::new(),
                redriven: false,
            };
            self.told.insert((self.pushed, *channel), told);
        }
    }

    /// Messages to a channel that were not told as stored yet.
    fn beside(&self, channel: usize) -> Vec<u64> {
        let told = self.told.iter().filter(|(name, told)| name.1 == channel && !is_kept(&told.pushed));
        told.map(|(name, _)| name.0).collect()
    }

    fn pull(&mut self, channel: usize) {
        let Some(delivery) = self.many.pull(channel, 3_600_000) else { return };
        let name = name(channel, &self.many.content(delivery.channel, delivery.content).content);
        self.leases.push((name, delivery.channel, delivery.granted.claim()));
        self.told.get_mut(&name).unwrap().handed_out.push(delivery.ticket);
    }

    /// Every message, channel by channel, in order.
    fn found(&mut self) -> Vec<Found> {
        // A channel that others move messages to shows them at its next turn.
        self.many.cores.iter().for_each(|core| core.lock().elapse());
        let mut found = Vec::new();
        for (channel, entry) in self.many.entries.clone().into_iter().enumerate() {
            let core = self.many.core(entry.number);
            let Some(there) = core.channels.get(&entry.number) else { continue };
            let messages: Vec<_> =
                there.state.messages().map(|(sequence, message)| (sequence, message.into_owned())).collect();
            assert_eq!(there.counters.ready(), there.state.count(State::Ready));
            drop(core);
            for (sequence, message) in messages {
                let position = message.stored.position;
                let content = self.many.core(entry.number).content(entry.number, sequence, position);
                let name = name(channel, &self.many.content(entry.number, content.unwrap()).content);
                let (state, deliveries) = (message.state(), message.handouts.deliveries());
                found.push(Found { name, channel, state, deliveries });
            }
        }
        found
    }

    /// The process is killed, or the power is cut, and the broker starts again: what it has is held against what was told,
    /// and is the truth from then on.
    fn crash(mut self, power_cut: Option<Chance>, cores: usize) -> Self {
        let cores = if self.alone { 1 } else { cores };
        // First what was told, then the disk: it may have more.
        let told: BTreeMap<Name, Told> = std::mem::take(&mut self.told);
        let promises: Vec<_> =
            told.into_iter().map(|(name, told)| (name, told.promised(power_cut.is_none()))).collect();
        let left = self.many.left(power_cut);
        self.many = self.many.start(left, cores);
        // What was on its way to another core arrives.
        self.many.commit();
        let mut found: BTreeMap<Name, Found> = BTreeMap::new();
        let mut before: [Vec<u64>; 2] = Default::default();
        for one in self.found() {
            let promised = promises.iter().find(|(name, _)| *name == one.name);
            let Some((_, promised)) = promised else { panic!("message {:?} was never pushed", one.name) };
            if one.channel < 2 && !promised.redriven {
                let number = one.name.0;
                let may_follow = |earlier: &u64| {
                    let (_, other) =
                        promises.iter().find(|(name, _)| *name == (*earlier, one.channel)).unwrap();
                    *earlier < number || (!self.alone && other.beside.contains(&number))
                };
                assert!(before[one.channel].iter().all(may_follow), "{:?} is out of order", one.name);
                before[one.channel].push(number);
            }
            let twice = found.insert(one.name, one);
            assert!(twice.is_none(), "{:?} is in two places", twice.map(|one| one.name));
        }
        for (name, promised) in promises {
            if let Some(told) = promised.hold_against(name, found.get(&name)) {
                self.told.insert(name, told);
            }
        }
        self
    }
}

/// The channel that a message was pushed to is told by where it is: in the third is only what the first gave up.
fn name(channel: usize, content: &Content) -> Name {
    let text = std::str::from_utf8(&content.body).unwrap();
    (text.split_once(' ').unwrap().0.parse().unwrap(), usize::from(channel == 1))
}

/// What was promised of a message when the crash came.
struct Promised {
    there: bool,
    gone: bool,
    /// It was asked for and not told: it may be gone or not.
    may_be_gone: bool,
    dead: bool,
    deliveries: std::ops::RangeInclusive<u32>,
    redriven: bool,
    beside: Vec<u64>,
}

impl Told {
    /// A kill forgets no delivery that was told of; a power cut may forget those since the last sync.
    fn promised(&self, killed: bool) -> Promised {
        let told = self.handed_out.iter().filter(|ticket| killed && is_kept(ticket)).count() as u32;
        Promised {
            there: is_kept(&self.pushed),
            gone: self.settled.as_ref().is_some_and(is_kept),
            may_be_gone: self.settled.is_some(),
            dead: self.rejected.as_ref().is_some_and(is_kept),
            deliveries: self.delivered + told..=self.delivered + self.handed_out.len() as u32,
            redriven: self.redriven,
            beside: self.beside.clone(),
        }
    }
}

impl Promised {
    /// The message as it is from then on, if it is there.
    fn hold_against(self, name: Name, found: Option<&Found>) -> Option<Told> {
        let Some(found) = found else {
            assert!(!self.there || self.may_be_gone, "message {name:?} was told as stored and is lost");
            return None;
        };
        assert!(!self.gone, "message {name:?} was told as settled and is back");
        let dead = found.state == State::Dead || found.channel == 2;
        assert!(dead || !self.dead, "message {name:?} was told as rejected and is alive");
        // One that was moved counts anew.
        let at_home = found.channel == name.1 && !self.redriven;
        let counted = self.deliveries.contains(&found.deliveries);
        assert!(!at_home || counted, "message {name:?}: {} and not {:?}", found.deliveries, self.deliveries);
        Some(Told {
            pushed: Ticket::committed(),
            settled: None,
            rejected: dead.then(Ticket::committed),
            delivered: found.deliveries,
            handed_out: Vec::new(),
            redriven: self.redriven,
            beside: self.beside,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_was_told_before_a_crash_is_true_after_it(
        operations in prop::collection::vec(operation(), 1..250)
    ) {
        World::run(true, &operations);
    }

    #[test]
    fn what_was_told_is_true_whatever_the_number_of_cores(
        operations in prop::collection::vec(operation(), 1..250)
    ) {
        World::run(false, &operations);
    }
}
