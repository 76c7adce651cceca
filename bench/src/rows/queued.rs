//! What a queued message and an idempotency key cost in memory.

use anyhow::Result;
use restante_wire::batch::ItemHead;

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, fill::fill},
    load::block_on,
    memory,
    report::{
        progress,
        row::{Goal, Row},
        table::abbreviated,
    },
};

/// Messages that are queued: enough that what a broker has besides hardly counts.
const MESSAGES: usize = 1_000_000;
/// Messages with a key.
const KEYS: usize = 500_000;
/// Memory differs little between rounds, and each takes long.
const ROUNDS_MAX: u32 = 3;

pub(super) fn queued(arguments: &Arguments) -> Result<Vec<Row>> {
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds.min(ROUNDS_MAX) {
        let broker = start(arguments)?;
        let before = memory::resident(&broker)?;
        rounds.push((after(&broker, MESSAGES, |_| ItemHead::default())? - before) / MESSAGES as f64);
        progress(&format!("queued: {:.1} bytes of memory per message", rounds[rounds.len() - 1]));
    }
    let name = format!("memory per queued message, its body on disk, {} of them", abbreviated(MESSAGES));
    Ok(vec![Row::measured(name, Goal::at_most(24.0, 16.0), "bytes", rounds)])
}

pub(super) fn keys(arguments: &Arguments) -> Result<Vec<Row>> {
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds.min(ROUNDS_MAX) {
        let without = after(&start(arguments)?, KEYS, |_| ItemHead::default())?;
        let with = after(&start(arguments)?, KEYS, keyed)?;
        rounds.push((with - without) / KEYS as f64);
        progress(&format!("keys: {:.1} bytes of memory per key", rounds[rounds.len() - 1]));
    }
    let name = format!("memory per idempotency key of 36 characters, {} of them", abbreviated(KEYS));
    Ok(vec![Row::measured(name, Goal::none(true), "bytes", rounds)])
}

/// One that keeps next to no body in memory.
fn start(arguments: &Arguments) -> Result<Broker> {
    let flags = ["--hot-body-memory", "1MiB"].map(str::to_owned).to_vec();
    Broker::start(&arguments.output, &Options { flags, ..Options::default() })
}

/// Bytes of memory when so many messages are queued.
fn after(
    broker: &Broker,
    messages: usize,
    head: impl Fn(usize) -> ItemHead + Copy + Send + 'static,
) -> Result<f64> {
    block_on(async {
        fill(broker.server.address, messages, head).await?;
        memory::at_rest(broker).await
    })
}

fn keyed(number: usize) -> ItemHead {
    // As long as a UUID, which most senders use.
    ItemHead { idempotency_key: Some(format!("{number:036}")), ..ItemHead::default() }
}
