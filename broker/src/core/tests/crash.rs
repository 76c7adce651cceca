//! Random operations on a core whose process is killed or whose power is cut at any moment, against what it told: what was
//! told as stored is there, what was told as settled stays away, and nothing is in two places or out of order.

use std::{cell::RefCell, collections::BTreeMap};

use proptest::prelude::*;

use super::*;
use crate::{
    channel::{Claim, State},
    log::disk::simulated::{Chance, Simulated},
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
    Begin,
    Commit,
    Reclaim,
    Kill,
    /// A power cut, by chance.
    PowerCut(u64),
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
        6 => Just(Operation::Begin),
        4 => Just(Operation::Commit),
        3 => Just(Operation::Reclaim),
        2 => Just(Operation::Kill),
        2 => any::<u64>().prop_map(Operation::PowerCut),
    ]
}

/// A simulated disk that a crash replaces by what is left of it.
#[derive(Default)]
struct Crashing(RefCell<Simulated>);

impl Place for Crashing {
    type Log = DiskLog<Simulated>;

    fn open(&self) -> DiskLog<Simulated> {
        DiskLog::open_in(self.0.borrow().clone(), Options { segment_bytes: 64 << 10 }).unwrap()
    }
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
}

fn is_kept(ticket: &Ticket) -> bool {
    let mut waiting = Box::pin(ticket.clone().wait());
    let told = waiting.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
    matches!(told, Poll::Ready(Ok(())))
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
    bench: Bench<Crashing>,
    told: BTreeMap<Name, Told>,
    leases: Vec<(Name, u32, Claim)>,
    pushed: u64,
}

impl World {
    /// Two channels that may share a message. What the first gives up goes to the third.
    fn new() -> Self {
        let [mut one, mut two, dead] = ["one", "two", "dead"].map(channel);
        one.dead_letter.channel = Some("dead".into());
        one.delivery.max_deliveries = 3;
        two.delivery.max_deliveries = 3;
        let bench = Bench::new(vec![one, two, dead]);
        Self { bench, told: BTreeMap::new(), leases: Vec::new(), pushed: 0 }
    }

    fn run(operations: &[Operation]) {
        let mut world = Self::new();
        for operation in operations {
            match *operation {
                Operation::Kill => world = world.crash(None),
                Operation::PowerCut(seed) => world = world.crash(Some(Chance::new(seed))),
                _ => world.do_one(operation),
            }
        }
        world.crash(None);
    }

    fn do_one(&mut self, operation: &Operation) {
        match operation {
            Operation::Push { channels, bytes } => self.push(channels, *bytes),
            Operation::Pull(channel) => self.pull(*channel),
            Operation::Settle(index) => {
                let Some((name, channel, claim)) = self.held(*index) else { return };
                if let Ok(ticket) = self.bench.core.settle(channel, claim) {
                    self.told.get_mut(&name).unwrap().settled.get_or_insert(ticket);
                }
            }
            Operation::Reject(index) => {
                let Some((name, channel, claim)) = self.held(*index) else { return };
                if let Ok(ticket) = self.bench.core.reject(channel, claim, Some("no")) {
                    self.told.get_mut(&name).unwrap().rejected.get_or_insert(ticket);
                }
            }
            Operation::Release(index) => {
                let Some((_, channel, claim)) = self.lease(*index) else { return };
                let release = Release { counted: true, delay: None };
                let _ = self.bench.core.release(channel, claim, release).map(drop);
            }
            Operation::Renew(index) => {
                let Some((_, channel, claim)) = self.lease(*index) else { return };
                let _ = self.bench.core.renew(channel, claim, Some(3600)).map(drop);
            }
            Operation::Redrive => {
                for Found { name, channel, .. } in self.found() {
                    let told = self.told.get_mut(&name).unwrap();
                    told.redriven |= channel == 2;
                    if channel == 2 {
                        told.rejected = None;
                    }
                }
                self.bench.redrive(2, 0, u64::MAX);
            }
            Operation::Begin => self.bench.core.commit(),
            Operation::Commit => self.bench.commit(),
            Operation::Reclaim => self.bench.reclaim(),
            Operation::Kill | Operation::PowerCut(_) => unreachable!("the caller crashes"),
        }
    }

    /// One of the leases, the newest first.
    fn lease(&self, index: usize) -> Option<(Name, u32, Claim)> {
        let lease = self.leases.iter().rev().nth(index).copied();
        lease.filter(|(name, ..)| self.told.contains_key(name))
    }

    /// The same if it is good: who settles a dead letter that is his own is told that it is gone, and it is not.
    fn held(&self, index: usize) -> Option<(Name, u32, Claim)> {
        self.lease(index).filter(|(_, channel, claim)| self.bench.core.holds(*channel, *claim))
    }

    fn push(&mut self, channels: &[usize], bytes: usize) {
        self.pushed += 1;
        let content = format!("{} {}", self.pushed, "x".repeat(bytes));
        let Pushed { ticket: pushed, .. } = self.bench.push(channels, message(&content)).unwrap();
        for channel in channels {
            let told = Told {
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

    fn pull(&mut self, channel: usize) {
        let Some(delivery) = self.bench.pull(channel, 3_600_000) else { return };
        let name = name(channel, &self.bench.content(delivery.content).content);
        self.leases.push((name, delivery.channel, delivery.granted.claim()));
        self.told.get_mut(&name).unwrap().handed_out.push(delivery.ticket);
    }

    /// Every message, channel by channel, in order.
    fn found(&mut self) -> Vec<Found> {
        // A channel that others move messages to shows them at its next turn.
        self.bench.core.elapse();
        let mut found = Vec::new();
        for (channel, entry) in self.bench.entries.clone().into_iter().enumerate() {
            let Some(there) = self.bench.core.channels.get(&entry.number) else { continue };
            let messages: Vec<_> =
                there.state.messages().map(|(sequence, message)| (sequence, message.into_owned())).collect();
            assert_eq!(there.counters.ready(), there.state.count(State::Ready));
            for (sequence, message) in messages {
                let content = self.bench.core.content(entry.number, sequence, message.stored.position);
                let name = name(channel, &self.bench.content(content.unwrap()).content);
                let (state, deliveries) = (message.state(), message.handouts.deliveries());
                found.push(Found { name, channel, state, deliveries });
            }
        }
        found
    }

    /// The process is killed, or the power is cut, and the broker starts again: what it has is held against what was told,
    /// and is the truth from then on.
    fn crash(mut self, power_cut: Option<Chance>) -> Self {
        // First what was told, then the disk: it may have more.
        let told: BTreeMap<Name, Told> = std::mem::take(&mut self.told);
        let promises: Vec<_> =
            told.into_iter().map(|(name, told)| (name, told.promised(power_cut.is_none()))).collect();
        let disk = self.bench.place.0.borrow().clone();
        let left = match power_cut {
            None => disk.after_kill(),
            Some(mut chance) => disk.after_power_cut(&mut chance),
        };
        self.bench.place.0.replace(left);
        self.bench = self.bench.restart();
        let mut found: BTreeMap<Name, Found> = BTreeMap::new();
        let mut last = [0; 3];
        for one in self.found() {
            let promised = promises.iter().find(|(name, _)| *name == one.name);
            let Some((_, promised)) = promised else { panic!("message {:?} was never pushed", one.name) };
            if one.channel < 2 && !promised.redriven {
                assert!(last[one.channel] < one.name.0, "{:?} is out of order", one.name);
                last[one.channel] = one.name.0;
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
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_was_told_before_a_crash_is_true_after_it(
        operations in prop::collection::vec(operation(), 1..250)
    ) {
        World::run(&operations);
    }
}
