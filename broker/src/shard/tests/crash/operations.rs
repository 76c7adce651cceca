//! Operations of the model.

use proptest::prelude::*;

#[derive(Debug, Clone)]
pub(super) enum Operation {
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
    /// The relay takes this number of steps.
    RunTurns(usize),
    /// Begins a commit on one shard.
    Begin(usize),
    /// Nothing more that one shard writes reaches its disk.
    HoldBack(usize),
    /// Ends [`Self::HoldBack`].
    ReleaseSyncs(usize),
    Commit,
    /// On one shard.
    Reclaim(usize),
    /// Kills the broker; the next start has this number of shards. The power may be cut during that start.
    Kill(usize, Option<u64>),
    /// Cuts the power, with a random loss; and perhaps again while a start replays, or later.
    PowerCut(usize, u64, Option<u64>),
}

fn operation() -> impl Strategy<Value = Operation> {
    let channels = prop_oneof![3 => Just(vec![0]), 1 => Just(vec![1]), 2 => Just(vec![0, 1])];
    let bytes = prop_oneof![4 => 10..200_usize, 2 => 10..20_000_usize];
    let again = prop::option::weighted(0.3, any::<u64>());
    prop_oneof![
        10 => (channels, bytes).prop_map(|(channels, bytes)| Operation::Push { channels, bytes }),
        8 => (0..3_usize).prop_map(Operation::Pull),
        5 => (0..8_usize).prop_map(Operation::Settle),
        4 => (0..8_usize).prop_map(Operation::Reject),
        4 => (0..8_usize).prop_map(Operation::Release),
        1 => (0..8_usize).prop_map(Operation::Renew),
        1 => Just(Operation::Redrive),
        8 => (1..4_usize).prop_map(Operation::RunTurns),
        10 => (0..8_usize).prop_map(Operation::Begin),
        2 => (0..8_usize).prop_map(Operation::HoldBack),
        1 => (0..8_usize).prop_map(Operation::ReleaseSyncs),
        1 => Just(Operation::Commit),
        3 => (0..8_usize).prop_map(Operation::Reclaim),
        1 => (1..4_usize, again.clone()).prop_map(|(shards, again)| Operation::Kill(shards, again)),
        2 => (1..4_usize, any::<u64>(), again)
            .prop_map(|(shards, seed, again)| Operation::PowerCut(shards, seed, again)),
    ]
}

/// Operations in random order, with some sequences that chance alone would hardly ever find.
pub(super) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let some = prop_oneof![
        30 => operation().prop_map(|operation| vec![operation]),
        1 => moved_while_held_back(),
    ];
    prop::collection::vec(some, 1..200).prop_map(|some| some.concat())
}

/// A message leaves for another shard while its own shard's disk is held back; all other shards continue.
fn moved_while_held_back() -> impl Strategy<Value = Vec<Operation>> {
    let leaves = prop_oneof![
        2 => Just(Operation::Reject(0)),
        1 => Just(Operation::Release(0)),
        1 => Just(Operation::Redrive),
        1 => Just(Operation::Push { channels: vec![0, 1], bytes: 50 }),
    ];
    (0..3_usize, leaves, 1..4_usize).prop_map(|(shard, leaves, steps)| {
        let mut operations = vec![Operation::Pull(0), Operation::HoldBack(shard), leaves];
        for shard in [shard, shard + 1, shard + 2] {
            operations.extend([Operation::Begin(shard), Operation::RunTurns(steps)]);
        }
        operations
    })
}
