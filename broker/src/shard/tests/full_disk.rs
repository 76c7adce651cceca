//! A full disk, on a volume that other processes fill as well: settling all messages empties it, and nothing stops the
//! broker.

use std::task::Waker;

use super::*;
use crate::{
    channel::{Claim, State},
    log::disk::simulated::{Chance, Simulated},
};

const SEGMENT: usize = 64 << 10;

impl Place for Simulated {
    type Log = DiskLog<Self>;

    fn open(&self) -> DiskLog<Self> {
        DiskLog::open_in(self.clone(), Options { segment_bytes: SEGMENT as u64 }).unwrap()
    }
}

/// A channel whose dead letters stay in it, and one with traffic.
fn bench(segments: usize) -> Bench<Simulated> {
    let channels = ["dead", "work"].map(channel).to_vec();
    let bench = Bench::<Simulated>::new(channels);
    bench.place.limit(segments * SEGMENT);
    bench
}

impl Bench<Simulated> {
    /// Other processes take the rest of the volume.
    fn others_take_the_rest(&self) {
        self.place.limit(self.place.used());
    }

    /// Receives a message; `None` when there is no room for the lease's record, or no message is ready.
    fn received(&mut self, index: usize) -> Option<Claim> {
        let entry = self.entries[index].clone();
        let pull = Pull { lease: 3_600_000, attempt: None, answers: Share::unbounded() };
        match self.shard.pull(&entry, &pull) {
            Ok(PullOutcome::Delivered(delivery)) => Some(delivery.granted.claim()),
            Ok(PullOutcome::Repeated(_)) => None,
            Ok(PullOutcome::Waiting(id, _)) => {
                self.shard.stop_waiting(entry.id, id);
                None
            }
            Err(refusal) => {
                assert_ne!(refusal, PullRefusal::StoreFailed);
                None
            }
        }
    }

    fn messages(&self, index: usize) -> u64 {
        let channel = self.shard.facts.channels.get(&self.entries[index].id);
        channel.map_or(0, |channel| channel.state.messages_count())
    }

    /// Pushes until the disk is full. Returns the number of messages.
    fn fill(&mut self, bytes: usize) -> u64 {
        let (mut pushed, mut refused) = (0, 0);
        while refused < 50 {
            match self.push(&[1], message(&"x".repeat(bytes))) {
                Ok(_) => pushed += 1,
                Err(PushRefusal::StoreFull) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
            self.commit();
            self.reclaim();
        }
        pushed
    }
}

#[test]
fn receivers_that_release_99_of_100_never_fill_a_disk_whose_oldest_segments_are_dead_letters() {
    for seed in 0..4 {
        let mut chance = Chance::new(seed);
        let segments = 8 + chance.below(8) as usize;
        let mut bench = bench(segments);
        let bytes = 10 + chance.below(3000) as usize;
        for _ in 0..SEGMENT / (bytes + 150) {
            bench.push(&[0], message(&"x".repeat(bytes))).unwrap();
            let claim = bench.received(0).unwrap();
            let _ = bench.shard.reject(bench.entries[0].id, claim, None).unwrap();
            bench.commit();
        }
        assert!(bench.fill(300) > 50);
        bench.others_take_the_rest();
        // A broker under load copies a little between many requests.
        let requests_per_step = 1 + chance.below(64);
        let number = bench.entries[1].id;
        let (mut deliveries, mut released) = (0, Vec::new());
        for request in 0..1_000_000 {
            let left = bench.messages(1);
            if left == 0 {
                break;
            }
            let log = &bench.shard.ledger.log;
            assert!(
                request < 999_999,
                "seed {seed}: {left} are left after {deliveries} deliveries; {:?}, {:?}",
                log.stats(),
                log.room()
            );
            if let Some(claim) = bench.received(1) {
                deliveries += 1;
                if deliveries % 100 == 0 {
                    let settled = bench.shard.settle(number, claim);
                    assert!(settled.is_ok(), "seed {seed}, after {deliveries} deliveries: {settled:?}");
                } else {
                    released.push(claim);
                }
            }
            // A release without room is tried again.
            released.retain(|claim| {
                let release = Release { counted: false, delay: None };
                match bench.shard.release(number, *claim, release) {
                    Ok(_) => false,
                    Err(SettleRefusal::StoreFull) => true,
                    Err(other) => panic!("seed {seed}, after {deliveries} deliveries: {other:?}"),
                }
            });
            if request % requests_per_step == 0 {
                bench.commit();
                let _ = bench.shard.reclaim_step(&mut Context::from_waker(Waker::noop())).unwrap();
            }
        }
        let dead = bench.entries[0].clone();
        while bench.shard.purge(&dead, State::Dead).unwrap().0 > 0 {
            bench.commit();
            bench.reclaim();
        }
        bench.place.limit(segments * SEGMENT);
        assert!(bench.fill(300) > 50, "seed {seed}: an empty disk has room");
    }
}
