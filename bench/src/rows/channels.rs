//! Cost of idle channels: memory per channel, and CPU of a push with very many channels ÷ with ten.

use std::{cell::Cell, net::SocketAddr};

use anyhow::Result;

use crate::{
    arguments::Arguments,
    broker::{Broker, Options, SPARES, http, operator},
    load::{self, Turn, Work, block_on},
    memory,
    report::{
        row::{Goal, Row},
        table::abbreviated,
    },
    rounds::{Contestant, duel, of},
    stream::Stream,
};

const CLIENTS: usize = 64;
const FEW: usize = 10;

pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>> {
    let many = arguments.channels;
    let (few_bytes, with_few) = with_channels(arguments, &Options::default(), FEW)?;
    let (many_bytes, with_many) = with_channels(arguments, &Options::default(), many)?;
    let name = format!("cost of a push with {} channels ÷ with {FEW}", abbreviated(many));
    let rounds = duel(
        &name,
        arguments.rounds,
        Contestant::new("many", || turn(arguments, &with_many, many)),
        Contestant::new("few", || turn(arguments, &with_few, FEW)),
    )?;
    let cpu = of(&rounds, |(many, few)| (many.server_cpu_us, few.server_cpu_us));
    Ok(vec![
        // Measured once: setting up the channels takes longer than all turns, and memory hardly differs.
        Row::measured(
            format!("memory per idle channel, {} channels", abbreviated(many)),
            Goal::at_most(1024.0, 400.0),
            "bytes",
            [(many_bytes - few_bytes) / (many - FEW) as f64],
        ),
        Row::compared(name, Goal::at_most(1.2, 1.05), "µs of CPU per push", cpu)
            .with("many: pushes/s", of(&rounds, |(many, _)| many.rate))
            .with("few: pushes/s", of(&rounds, |(_, few)| few.rate)),
    ])
}

/// A broker that was restarted after its channels were programmed, and its memory when idle.
pub(super) fn with_channels(
    arguments: &Arguments,
    options: &Options,
    channels: usize,
) -> Result<(f64, Broker)> {
    let folder = tempfile::tempdir_in(&arguments.output)?;
    let options = Options { operated: true, spares: SPARES, ..options.clone() };
    let mut broker = Broker::start_in(folder.path(), &options)?;
    operator::program_many(&broker, channels)?;
    broker.server.kill()?;
    let mut broker = Broker::start_in(folder.path(), &Options { spares: 0, ..options })?;
    broker.server.keep(folder);
    broker.server.wait_until_idle()?;
    Ok((block_on(memory::at_rest(&broker))?, broker))
}

/// A turn of pushes to different channels.
pub(super) fn turn(arguments: &Arguments, Broker { server, .. }: &Broker, channels: usize) -> Result<Turn> {
    let work = PushAnywhere { server: server.address, channels: channels as u64, pushed: Cell::new(0) };
    load::run(work, server.id(), CLIENTS, arguments.window())
}

/// Pushes to a different channel each time, scattered over all of them.
struct PushAnywhere {
    server: SocketAddr,
    channels: u64,
    pushed: Cell<u64>,
}

impl Work for PushAnywhere {
    type Client = Stream;

    async fn begin(&self) -> Result<Stream> {
        Stream::open(self.server).await
    }

    async fn once(&self, stream: &mut Stream) -> Result<()> {
        let pushed = self.pushed.replace(self.pushed.get() + 1);
        stream.send(&http::push(&operator::address(scattered(pushed) % self.channels))).await?;
        http::status(stream, 201).await
    }
}

/// Pseudo-random numbers (Fibonacci hashing, Knuth, The Art of Computer Programming, 6.4).
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn scattered_pushes_rarely_repeat_a_channel() {
        let reached: HashSet<u64> = (0..1000).map(|number| scattered(number) % 100_000).collect();
        assert!(reached.len() > 980, "{}", reached.len());
    }
}
