//! Takeovers of a shard's log while its owner has batches in flight: what the owner answered is true at the next one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::channel::{Claim, Sequence};

#[derive(Debug, Clone)]
enum Operation {
    Push,
    Pull,
    /// Settles one of the leases.
    Settle(usize),
    Commit,
    /// Polls the log this many times.
    Poll(usize),
    TakeOver,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => Just(Operation::Push),
        4 => Just(Operation::Pull),
        4 => (0..8_usize).prop_map(Operation::Settle),
        8 => Just(Operation::Commit),
        4 => (1..12_usize).prop_map(Operation::Poll),
        2 => Just(Operation::TakeOver),
    ];
    prop::collection::vec(operation, 1..120)
}

/// When a message's answers may be sent.
struct Answers {
    pushed: Ticket,
    settled: Option<Ticket>,
}

struct World {
    bench: Bench<Stream>,
    answers: BTreeMap<Sequence, Answers>,
    leases: Vec<Claim>,
}

impl World {
    fn do_one(&mut self, operation: &Operation) {
        let channel = self.bench.entries[0].id;
        match operation {
            Operation::Push => {
                let pushed = self.bench.push(&[0], message("content")).unwrap().ticket;
                let sequence = self.bench.shard.facts.channels[&channel].state.next_sequence() - 1;
                self.answers.insert(sequence, Answers { pushed, settled: None });
            }
            Operation::Pull => {
                let Some(delivery) = self.bench.pull(0, 3_600_000) else { return };
                self.leases.push(delivery.granted.claim());
            }
            Operation::Settle(index) => {
                let shard = &mut self.bench.shard;
                self.leases.retain(|claim| shard.holds(channel, *claim));
                let Some(claim) = self.leases.get(index % self.leases.len().max(1)) else {
                    return;
                };
                let ticket = shard.settle(channel, *claim).unwrap();
                self.answers.get_mut(&claim.sequence).unwrap().settled = Some(ticket);
            }
            Operation::Commit => self.bench.shard.commit(),
            Operation::Poll(times) => {
                let mut context = Context::from_waker(std::task::Waker::noop());
                for _ in 0..*times {
                    let _ = self.bench.shard.poll_commits(&mut context);
                }
            }
            Operation::TakeOver => self.take_over(),
        }
    }

    fn take_over(&mut self) {
        let Bench { place, folder, store, source, .. } = &self.bench;
        let next = start(place, folder, store, source);
        let mut old = std::mem::replace(&mut self.bench.shard, next);
        wait(|context| {
            old.commit();
            while old.poll_commits(context).is_ready() {
                old.commit();
            }
            if old.has_failed() || old.is_settled() { Poll::Ready(()) } else { Poll::Pending }
        });
        let channel = self.bench.shard.facts.channels.get(&self.bench.entries[0].id);
        let found: BTreeSet<Sequence> = channel
            .iter()
            .flat_map(|channel| channel.state.messages())
            .map(|(sequence, _)| sequence)
            .collect();
        for (sequence, Answers { pushed, settled }) in &self.answers {
            if is_kept(pushed) && settled.is_none() {
                assert!(found.contains(sequence), "message {sequence} was answered as stored, and is lost");
            }
            if settled.as_ref().is_some_and(is_kept) {
                assert!(!found.contains(sequence), "message {sequence} was answered as settled, and is back");
            }
        }
        let kept = self.answers.iter().filter(|(_, answers)| answers.settled.is_none());
        assert!(kept.is_sorted_by_key(|(sequence, _)| !found.contains(sequence)), "a message is missing");
        let known = |sequence| (sequence, Answers { pushed: Ticket::committed(), settled: None });
        self.answers = found.into_iter().map(known).collect();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn answers_before_a_takeover_are_true_after_it(operations in operations()) {
        let bench = Bench::new(vec![channel("one")]);
        let mut world = World { bench, answers: BTreeMap::new(), leases: Vec::new() };
        operations.iter().for_each(|operation| world.do_one(operation));
        world.take_over();
    }
}
