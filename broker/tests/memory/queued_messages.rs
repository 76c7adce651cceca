//! Memory of a queued message whose body is on disk: the number in `docs/limits.md`.

use restante_broker::shard::Push;

use super::{
    bench::{Bench, message},
    counting::Measured,
};

const MILLION: usize = 1_000_000;
/// Bytes per message, including its part of the shared structures, among messages of any other size and TTL.
const BYTES_MAX: f64 = 24.0;
/// Bytes per message among others of about its size and time to live.
const ALIKE_BYTES_MAX: f64 = 8.0;
/// Bytes per message with more state than its position and time of storage; 16 of them are the position of its state
/// record.
const OTHER_BYTES_MAX: usize = 360;

#[tokio::test]
async fn a_million_messages_take_the_documented_memory_also_during_a_restart() {
    let bench = Bench::new(1);
    let shard = bench.start().await;
    bench.push(&shard, std::iter::once((0, message(20)))).await;
    let mut measured = Measured::begin();
    bench.push(&shard, (0..MILLION).map(|index| (0, message(20 + index % 50)))).await;
    let each = measured.bytes() as f64 / MILLION as f64;
    assert!(each <= ALIKE_BYTES_MAX, "{each} bytes a message");

    drop(shard);
    measured.restart();
    let shard = bench.start().await;
    let remaining =
        shard.with(|shard| shard.close(&bench.entries[0], false).unwrap().map(|(messages, _)| messages));
    assert_eq!(remaining, Err(MILLION as u64 + 1), "all are there");
    let (each, peak) = (measured.bytes() as f64 / MILLION as f64, measured.peak() as f64 / MILLION as f64);
    assert!(each <= ALIKE_BYTES_MAX, "{each} bytes a message after a restart");
    assert!(peak <= BYTES_MAX, "{peak} bytes a message during a restart");
}

#[tokio::test]
async fn messages_of_any_size_and_ttl_in_many_channels_take_the_documented_memory() {
    const CHANNELS: usize = 100;
    let bench = Bench::new(CHANNELS);
    let shard = bench.start().await;
    bench.push(&shard, (0..CHANNELS).map(|channel| (channel, message(1)))).await;
    let measured = Measured::begin();
    // Multiples of large primes, instead of random numbers.
    let pushes = (0..MILLION / 4).map(|index| {
        let chance = index * 7_368_787;
        let ttl = (index % 2 == 0).then_some(1000 * (3600 + (chance % 31_000_000) as u64));
        (chance % CHANNELS, Push { ttl, ..message(1 + chance / 7 % 500) })
    });
    bench.push(&shard, pushes).await;
    let each = measured.bytes() as f64 / (MILLION / 4) as f64;
    assert!(each <= BYTES_MAX, "{each} bytes a message");
}

#[tokio::test]
async fn messages_of_message_groups_and_delayed_messages_take_the_documented_memory() {
    const MESSAGES: usize = 100_000;
    let bench = Bench::new(2);
    let shard = bench.start().await;
    bench.push(&shard, (0..2).map(|channel| (channel, message(1)))).await;
    let mut measured = Measured::begin();
    let group = |index: usize| Some(format!("group-{}", index % (MESSAGES / 10)).into());
    bench.push(&shard, (0..MESSAGES).map(|index| (0, Push { group: group(index), ..message(1) }))).await;
    let of_groups = measured.bytes() / MESSAGES;
    measured.restart();
    let delay = |index: usize| Some(3_600_000 + (index * 7_368_787 % 1_000_000) as u64);
    bench.push(&shard, (0..MESSAGES).map(|index| (1, Push { delay: delay(index), ..message(1) }))).await;
    let delayed = measured.bytes() / MESSAGES;
    assert!(of_groups <= OTHER_BYTES_MAX, "{of_groups} bytes a message of a group");
    assert!(delayed <= OTHER_BYTES_MAX, "{delayed} bytes a delayed message");
}
