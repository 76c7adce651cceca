//! A restart restores every channel: random operations on channels of every kind, with segments that are reclaimed all
//! the time.

use std::borrow::Cow;

use proptest::{prelude::*, test_runner::TestRunner};
use restante_wire::channel::{Expired, WhenFull};

use super::*;
use crate::channel::{Claim, Message, Sequence, State};

#[derive(Debug, Clone)]
enum Operation {
    Push { channels: Vec<usize>, group: Option<u8>, delay: bool, ttl: bool, key: Option<u8>, bytes: usize },
    Pull { channel: usize, short: bool },
    Settle(usize),
    Reject(usize),
    Release(usize, bool, bool),
    Renew(usize),
    Redrive { from: usize, to: usize },
    Purge(usize),
    Begin,
    Commit,
    Reclaim,
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    let channels =
        prop_oneof![3 => Just(vec![0]), 1 => Just(vec![1]), 2 => Just(vec![0, 1]), 1 => Just(vec![2])];
    let push = (
        channels,
        prop::option::of(0..3_u8),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(0..20_u8),
        prop_oneof![4 => 1..200_usize, 2 => 1..20_000_usize],
    );
    prop_oneof![
        8 => push.prop_map(|(channels, group, delay, ttl, key, bytes)| {
            Operation::Push { channels, group, delay: delay && ttl, ttl: !delay && ttl, key, bytes }
        }),
        6 => (0..3_usize, prop::bool::weighted(0.2)).prop_map(|(channel, short)| Operation::Pull { channel, short }),
        5 => (0..8_usize).prop_map(Operation::Settle),
        1 => (0..8_usize).prop_map(Operation::Reject),
        2 => (0..8_usize, any::<bool>(), any::<bool>())
            .prop_map(|(index, counted, delay)| Operation::Release(index, counted, delay)),
        1 => (0..8_usize).prop_map(Operation::Renew),
        1 => (0..3_usize, 0..3_usize).prop_map(|(from, to)| Operation::Redrive { from, to }),
        1 => (0..3_usize).prop_map(Operation::Purge),
        3 => Just(Operation::Begin),
        3 => Just(Operation::Commit),
        3 => Just(Operation::Reclaim),
        1 => Just(Operation::Restart),
    ]
}

/// Two channels that may share a message; the third takes dead letters of the first, and drops its oldest messages.
fn bench<P: Place>() -> Bench<P> {
    let [mut one, mut two, mut dead] = ["one", "two", "dead"].map(channel);
    for channel in [&mut one, &mut two] {
        channel.dead_letter.channel = Some("dead".into());
        channel.delivery.max_deliveries = 3;
    }
    two.dead_letter.channel = None;
    two.expired = Expired::DeadLetter;
    dead.limits.messages = 20;
    dead.when_full = WhenFull::DropOldest;
    Bench::new(vec![one, two, dead])
}

/// The content of each channel, without positions in the log.
fn picture<P: Place>(bench: &Bench<P>) -> Vec<Vec<(Sequence, Message)>> {
    let of = |entry: &Arc<ChannelEntry>| -> Vec<_> {
        let Some(channel) = bench.shard.facts.channels.get(&entry.id) else { return Vec::new() };
        let anywhere = |message: Cow<'_, Message>| {
            let mut message = message.into_owned();
            message.stored.position = Default::default();
            message.state_at = None;
            message
        };
        channel.state.messages().map(|(sequence, message)| (sequence, anywhere(message))).collect()
    };
    bench.entries.iter().map(of).collect()
}

/// Waits until all events of the next minute are processed; the remaining ones are an hour away.
fn settle_down<P: Place>(bench: &mut Bench<P>) {
    while bench.shard.next_wake().is_some_and(|millis| millis < 60_000) {
        bench.shard.elapse();
        std::thread::yield_now();
    }
}

/// Checks that the body of every message is readable and its own.
fn check_contents<P: Place>(bench: &mut Bench<P>) {
    for (entry, messages) in bench.entries.clone().iter().zip(picture(bench)) {
        for (sequence, _) in messages {
            let position =
                bench.shard.facts.channels[&entry.id].state.message(sequence).unwrap().stored.position;
            let content = bench.shard.content(entry.id, sequence, None, position).unwrap();
            let content = bench.content(content).content;
            let text = std::str::from_utf8(&content.body).unwrap();
            let (length, _) = text.split_once(' ').unwrap();
            assert_eq!(text.len(), length.parse::<usize>().unwrap());
        }
    }
}

fn do_one<P: Place>(bench: &mut Bench<P>, leases: &mut Vec<(ChannelId, Claim)>, operation: Operation) {
    let pick = |leases: &[(ChannelId, Claim)], index: usize| leases.iter().rev().nth(index).copied();
    match operation {
        Operation::Push { channels, group, delay, ttl, key, bytes } => {
            let length = bytes + 10;
            let mut content = format!("{length} ");
            content.extend(std::iter::repeat_n('x', length - content.len()));
            let push = Push {
                group: group.map(|group| group.to_string().into()),
                delay: delay.then_some(3_600_000),
                ttl: ttl.then_some(1),
                key: key.map(|key| keys::PushKey { hash: key.into(), fingerprint: 1 }),
                ..message(&content)
            };
            let _ = bench.push(&channels, push);
        }
        Operation::Pull { channel, short } => {
            let delivery = bench.pull(channel, if short { 1 } else { 3_600_000 });
            leases.extend(delivery.map(|delivery| (delivery.channel, delivery.granted.claim())));
        }
        Operation::Settle(index) => {
            let _ = pick(leases, index).map(|(channel, claim)| bench.shard.settle(channel, claim).map(drop));
        }
        Operation::Reject(index) => {
            let _ = pick(leases, index)
                .map(|(channel, claim)| bench.shard.reject(channel, claim, Some("no")).map(drop));
        }
        Operation::Release(index, counted, delay) => {
            let release = Release { counted, delay: delay.then_some(3_600_000) };
            let _ = pick(leases, index)
                .map(|(channel, claim)| bench.shard.release(channel, claim, release).map(drop));
        }
        Operation::Renew(index) => {
            let _ = pick(leases, index)
                .map(|(channel, claim)| bench.shard.renew(channel, claim, Some(3600)).map(drop));
        }
        Operation::Redrive { from, to } => {
            bench.redrive(from, to, 5);
        }
        Operation::Purge(channel) => {
            let entry = bench.entries[channel].clone();
            bench.shard.purge(&entry, State::Dead).map(drop).unwrap();
        }
        Operation::Begin => bench.shard.commit(),
        Operation::Commit => {
            bench.shard.elapse();
            bench.commit();
        }
        Operation::Reclaim => bench.reclaim(),
        Operation::Restart => {}
    }
}

fn a_restart_restores_every_channel<P: Place>() {
    let config = ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(operation(), 1..400), |operations| {
        let (mut bench, mut leases) = (bench::<P>(), Vec::new());
        for operation in operations.into_iter().chain([Operation::Restart]) {
            if matches!(operation, Operation::Restart) {
                settle_down(&mut bench);
                bench.commit();
                let before = picture(&bench);
                let keys = bench.shard.facts.keys.count();
                let live = bench.shard.ledger.log.stats().live_bytes;
                bench = bench.restart();
                settle_down(&mut bench);
                prop_assert_eq!(picture(&bench), before);
                prop_assert!(bench.shard.facts.keys.count() <= keys);
                prop_assert_eq!(bench.shard.ledger.log.stats().live_bytes, live);
                check_contents(&mut bench);
            } else {
                do_one(&mut bench, &mut leases, operation);
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

on_every_log!(a_restart_restores_every_channel);
