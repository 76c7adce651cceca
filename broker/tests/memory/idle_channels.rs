//! What a channel takes that nothing happens in: what `docs/limits.md` says.

use restante_broker::{
    core::{Asked, Delivered},
    shared::Share,
};

use super::{
    bench::{Bench, commit, message},
    counting::Measured,
};

/// Many more than are kept as they are.
const CHANNELS: usize = 20_000;
/// What a channel may take, all that the address store knows of it included.
const BYTES_MAX: usize = 1024;

#[tokio::test]
async fn a_channel_that_was_used_and_is_empty_takes_less_than_a_kilobyte() {
    let mut measured = Measured::begin();
    let bench = Bench::new(CHANNELS);
    let unused = measured.bytes() / CHANNELS;
    let core = bench.start().await;
    // What the log keeps at hand is no channel's.
    bench.push(&core, (0..CHANNELS).map(|_| (0, message(1)))).await;
    measured.again();
    bench.push(&core, (0..CHANNELS).map(|channel| (channel, message(1)))).await;
    let full = unused + measured.bytes() / CHANNELS;
    let asked = Asked { lease: 60_000, attempt: None, answers: Share::unbounded() };
    for (index, entry) in bench.entries.iter().enumerate() {
        core.with(|core| {
            let Ok(Delivered::Now(delivery)) = core.pull(entry, &asked) else { panic!("it has a message") };
            let _ = core.settle(delivery.channel, delivery.granted.claim()).unwrap();
        });
        if index % 1000 == 999 {
            commit(&core).await;
        }
    }
    commit(&core).await;
    let each = unused + measured.bytes() / CHANNELS;
    assert!(each < BYTES_MAX, "{each} bytes a channel; {unused} before it was used, {full} with a message");
}
