//! Memory per queued message and per idempotency key.

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

/// Number of queued messages: enough that the broker's other memory hardly matters.
const MESSAGES: usize = 1_000_000;
/// Number of messages with a key.
const KEYS: usize = 500_000;
/// Limit of rounds: memory differs little between rounds, and each takes long.
const ROUNDS_MAX: u32 = 3;

pub(super) fn queued(arguments: &Arguments) -> Result<Vec<Row>> {
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds.min(ROUNDS_MAX) {
        rounds.push(bytes(arguments, &Options::default())?);
        progress(&format!("queued: {:.1} bytes of memory per message", rounds[rounds.len() - 1]));
    }
    let name = format!("memory per queued message, body on disk, {} messages", abbreviated(MESSAGES));
    Ok(vec![Row::measured(name, Goal::at_most(24.0, 16.0), "bytes", rounds)])
}

pub(super) fn keys(arguments: &Arguments) -> Result<Vec<Row>> {
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds.min(ROUNDS_MAX) {
        let without = after(&start(arguments, &Options::default())?, KEYS, |_| ItemHead::default())?;
        let with = after(&start(arguments, &Options::default())?, KEYS, keyed)?;
        rounds.push((with - without) / KEYS as f64);
        progress(&format!("keys: {:.1} bytes of memory per key", rounds[rounds.len() - 1]));
    }
    let name = format!("memory per idempotency key of 36 characters, {} keys", abbreviated(KEYS));
    Ok(vec![Row::measured(name, Goal::none(true), "bytes", rounds)])
}

/// Memory per queued message of a broker that starts with these options, in bytes.
pub(super) fn bytes(arguments: &Arguments, options: &Options) -> Result<f64> {
    let broker = start(arguments, options)?;
    let before = memory::resident(&broker)?;
    Ok((after(&broker, MESSAGES, |_| ItemHead::default())? - before) / MESSAGES as f64)
}

/// Starts a broker that keeps almost no bodies in memory.
fn start(arguments: &Arguments, options: &Options) -> Result<Broker> {
    let flags = ["--hot-body-memory", "1MiB"].map(str::to_owned).to_vec();
    Broker::start(&arguments.output, &Options { flags, ..options.clone() })
}

/// Resident bytes after this number of messages was queued.
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
    // The length of a UUID, which most senders use as a key.
    ItemHead { idempotency_key: Some(format!("{number:036}")), ..ItemHead::default() }
}
