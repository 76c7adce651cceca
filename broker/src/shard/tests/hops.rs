//! Hops from the thread of one shard to another's: many jobs, one wake.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::{Wake, Waker},
    thread::yield_now,
};

use futures_util::future::join_all;
use tokio::sync::Barrier;

use crate::log::disk::simulated::Simulated;
use crate::shard::tests::{
    many_shards::{Many, Own},
    relay::rotate,
    *,
};

/// Counts the wakes of a thread.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// The thread of a shard, which runs when the test calls [`Thread::turn`].
struct Thread {
    shards: Router<DiskLog<Simulated>>,
    jobs: Pin<Box<dyn Future<Output = ()>>>,
    wakes: Arc<Wakes>,
}

impl Thread {
    fn turn(&mut self) {
        let waker = Waker::from(self.wakes.clone());
        assert!(self.jobs.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }

    /// The number of wakes since the last call.
    fn was_woken(&self) -> usize {
        self.wakes.0.swap(0, SeqCst)
    }
}

/// Two shards, and a channel of the second.
fn two_cores() -> (Many, [Own; 2], Arc<ChannelEntry>) {
    let many = Many::new(["one", "two"].map(channel).to_vec(), 2);
    let shards = many.owned().try_into().unwrap_or_else(|_| panic!("there are two"));
    let entry = many.entries.iter().find(|entry| many.shard_of(entry.id) == 1).unwrap().clone();
    (many, shards, entry)
}

/// [`two_cores`] with their threads, both asleep.
fn two() -> (Many, [Thread; 2], Arc<ChannelEntry>) {
    let (many, shards, entry) = two_cores();
    let threads = shards.map(|(shards, mut jobs)| {
        let own = shards.clone();
        let jobs = Box::pin(async move { jobs.run(&own).await });
        let mut thread = Thread { shards, jobs, wakes: Arc::default() };
        thread.turn();
        thread
    });
    (many, threads, entry)
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_turn_wakes_another_thread_once_for_all_jobs_and_is_woken_once_for_all_answers() {
    let (_many, [mut asking, mut answering], entry) = two();
    let shards = asking.shards.clone();
    let ask = |number: usize| shards.ask(entry.id, &(), move |_, ()| number);
    let mut answers = Box::pin(join_all((0..3).map(ask)));
    assert!(poll(&mut answers).is_pending());
    assert_eq!(answering.was_woken(), 0, "before the asking turn ends");
    asking.turn();
    assert_eq!(answering.was_woken(), 1);
    asking.was_woken();
    answering.turn();
    assert_eq!(asking.was_woken(), 1);
    asking.turn();
    assert_eq!(poll(&mut answers), Poll::Ready(vec![Ok(0), Ok(1), Ok(2)]));
}

#[test]
fn a_commit_wakes_another_thread_once_for_all_tasks_that_wait_for_it() {
    let (mut many, [mut waiting, mut committing], entry) = two();
    let push =
        |_| many.shard(entry.id).push(std::slice::from_ref(&entry), message("waits"), None).unwrap().ticket;
    let tickets: Vec<_> = (0..3).map(push).collect();
    let shards = waiting.shards.clone();
    let mut kept =
        Box::pin(join_all(tickets.into_iter().map(|ticket| shards.wait_until_committed(entry.id, ticket))));
    assert!(poll(&mut kept).is_pending());
    many.commit_one(1);
    assert_eq!(waiting.was_woken(), 0, "before the committing turn ends");
    committing.turn();
    assert_eq!(waiting.was_woken(), 1);
    waiting.turn();
    assert_eq!(poll(&mut kept), Poll::Ready(vec![Ok(()); 3]));
}

#[test]
fn a_job_for_an_ended_shard_gets_an_error() {
    let (_many, [mut asking, answering], entry) = two();
    let shards = asking.shards.clone();
    let mut answer = Box::pin(shards.ask(entry.id, &(), |_, ()| ()));
    assert!(poll(&mut answer).is_pending());
    drop(answering);
    asking.turn();
    assert_eq!(poll(&mut answer), Poll::Ready(Err(ShardGone)));
}

#[tokio::test]
async fn jobs_for_other_threads_run_when_all_threads_end() {
    let (_many, shards, entry) = two_cores();
    let done = Arc::new(AtomicUsize::new(0));
    for (shards, _) in &shards {
        let done = done.clone();
        shards.tell(entry.id, move |_| {
            done.fetch_add(1, SeqCst);
        });
    }
    assert_eq!(done.load(SeqCst), 1, "the second thread's own job");
    let all = Barrier::new(2);
    // The second arrives first, and waits.
    join_all(shards.into_iter().rev().map(async |(shards, jobs)| jobs.finish(&shards, &all).await)).await;
    assert_eq!(done.load(SeqCst), 2);
}

#[test]
fn a_key_whose_record_is_copied_between_two_hops_is_replayed() {
    // Longer than the bodies kept in memory: the key must be read.
    let keyed = || Push {
        key: Some(keys::PushKey { hash: 1, fingerprint: 1 }),
        ..message(&"k".repeat(LIMITS.hot_bytes))
    };
    for copied_before in 0.. {
        let (mut many, [mut asking, mut answering], entry) = two();
        many.disks.values().for_each(|disk| disk.before_read(|| ()));
        let first = many.entries.iter().position(|of| of.id == entry.id).unwrap();
        let pushed = many.push(&[first, 1 - first], keyed()).unwrap().id;
        many.commit();
        let entries = vec![entry, many.entries[1 - first].clone()];
        let shards = asking.shards.clone();
        let mut again = Box::pin(shards.push(&entries, keyed(), None));
        let mut hops = 0;
        let again = loop {
            if let Poll::Ready(again) = poll(&mut again) {
                break again.unwrap();
            }
            if asking.was_woken() + answering.was_woken() == 0 {
                // It waits for the disk.
                yield_now();
                continue;
            }
            if hops == copied_before {
                rotate(&mut many, first);
            }
            asking.turn();
            answering.turn();
            hops += 1;
        };
        assert_eq!((again.id, again.replayed), (pushed, true), "copied before hop {copied_before}");
        if hops <= copied_before {
            assert!(hops > 2, "the key was read");
            return;
        }
    }
}
