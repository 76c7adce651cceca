//! What a channel takes that nothing happens in.

use super::{
    bench::{Bench, message},
    counting::Measured,
};

const CHANNELS: usize = 2000;
/// What a channel may take in its core, beside what the address store knows of it.
const BYTES_MAX: usize = 1024;

#[tokio::test]
async fn a_channel_that_was_used_and_is_empty_takes_at_most_a_kilobyte() {
    let mut measured = Measured::begin();
    let bench = Bench::new(CHANNELS);
    let known = measured.bytes() / CHANNELS;
    let core = bench.start().await;
    measured.again();
    bench.push(&core, (0..CHANNELS).map(|channel| (channel, message(1)))).await;
    let one = measured.bytes() / CHANNELS;
    for entry in &bench.entries {
        core.with(|core| while core.purge(entry, restante_broker::channel::State::Ready).unwrap().0 > 0 {});
    }
    restante_broker::core::tasks::commit_everything(&core).await;
    let each = measured.bytes() / CHANNELS;
    panic!("known {known}, with a message {one}, empty {each}, {BYTES_MAX}");
}
