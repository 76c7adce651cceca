//! Which threads wait for the disk.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::owner::Owner;
use crate::log::{ChannelId, Log, Sync, conformance::BlockingLog, disk::simulated::Simulated};

/// Which syncs ran on the worker thread, and how long a sync takes.
#[derive(Clone, Default)]
struct Syncs(Arc<Mutex<(Vec<bool>, Duration)>>);

impl Syncs {
    fn of(disk: &Simulated) -> Self {
        let syncs = Self::default();
        let (seen, serving) = (syncs.clone(), thread::current().id());
        disk.before_sync(move || {
            let mut syncs = seen.0.lock().unwrap();
            syncs.0.push(thread::current().id() == serving);
            thread::sleep(syncs.1);
        });
        syncs
    }

    fn take(&self, duration: Duration) {
        self.0.lock().unwrap().1 = duration;
    }

    /// The number of syncs since the last call, and how many of them the worker thread waited for.
    fn seen(&self) -> (usize, usize) {
        let syncs = std::mem::take(&mut self.0.lock().unwrap().0);
        (syncs.len(), syncs.iter().filter(|inline| **inline).count())
    }
}

fn commit(owner: &mut Owner, times: usize) {
    for _ in 0..times {
        // Settles are short, so that no segment is started, which would be another sync.
        owner
            .log
            .append(
                &crate::log::Record::Removed {
                    channel: ChannelId(1),
                    sequence: 0,
                    cause: crate::log::RemovalCause::Settled,
                },
                crate::log::Purpose::Settle,
            )
            .unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
}

#[test]
fn the_worker_thread_waits_for_syncs_only_after_the_disk_has_been_fast() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    let syncs = Syncs::of(&disk);
    commit(&mut owner, 64);
    assert_eq!(syncs.seen(), (64, 0));
    commit(&mut owner, 10);
    assert_eq!(syncs.seen(), (10, 10));
    syncs.take(Duration::from_millis(6));
    commit(&mut owner, 1);
    assert_eq!(syncs.seen(), (1, 1), "this could not be known before");
    commit(&mut owner, 10);
    assert_eq!(syncs.seen(), (10, 0));
}

#[test]
fn the_worker_thread_never_waits_for_a_disk_whose_syncs_take_5_ms() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    let syncs = Syncs::of(&disk);
    syncs.take(Duration::from_millis(5));
    commit(&mut owner, 100);
    assert_eq!(syncs.seen(), (100, 0));
}
