//! Memory of an idle channel: the number in `docs/limits.md`.

use restante_broker::{
    shard::{Pull, PullOutcome},
    shared::Share,
};

use super::{
    bench::{Bench, commit, message},
    counting::Measured,
};

/// Many more than the idle channels that are kept in memory.
const CHANNELS: usize = 20_000;
/// Bytes per channel, including its data in the address store.
const BYTES_MAX: usize = 1024;

#[tokio::test]
async fn a_channel_that_was_emptied_takes_less_than_a_kilobyte() {
    let mut measured = Measured::begin();
    let bench = Bench::new(CHANNELS);
    let unused = measured.bytes() / CHANNELS;
    let shard = bench.start().await;
    // Buffers of the log do not belong to a channel.
    bench.push(&shard, (0..CHANNELS).map(|_| (0, message(1)))).await;
    measured.restart();
    bench.push(&shard, (0..CHANNELS).map(|channel| (channel, message(1)))).await;
    let full = unused + measured.bytes() / CHANNELS;
    let pull = Pull { lease: 60_000, attempt: None, answers: Share::unbounded() };
    for (index, entry) in bench.entries.iter().enumerate() {
        shard.with(|shard| {
            let Ok(PullOutcome::Delivered(delivery)) = shard.pull(entry, &pull) else {
                panic!("it has a message")
            };
            let _ = shard.settle(delivery.channel, delivery.granted.claim()).unwrap();
        });
        if index % 1000 == 999 {
            commit(&shard).await;
        }
    }
    commit(&shard).await;
    let each = unused + measured.bytes() / CHANNELS;
    assert!(each < BYTES_MAX, "{each} bytes a channel; {unused} before it was used, {full} with a message");
}
