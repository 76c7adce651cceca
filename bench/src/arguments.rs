//! Arguments of the benchmark.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

use crate::rows::Rows;

/// Compare the broker with the limits of its machine and its HTTP stack, and with other brokers, which take turns
/// within one run
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Another command of the benchmark
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Rows to run
    #[arg(long, env = "ROWS", value_delimiter = ',', value_enum, default_values_t = Rows::ALL)]
    pub(crate) rows: Vec<Rows>,
    /// Number of rounds; each server has one turn per round
    #[arg(long, env = "ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Measured duration of a turn, in seconds
    #[arg(long, env = "SECONDS_PER_TURN", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Messages in the deep queue
    #[arg(long, env = "BACKLOG", default_value_t = 10_000_000, value_parser = number(10_000))]
    pub(crate) backlog: usize,
    /// Channels of the broker with many channels
    #[arg(long, env = "CHANNELS", default_value_t = 1_000_000, value_parser = number(1_000))]
    pub(crate) channels: usize,
    /// Duration of the soak, in seconds
    #[arg(long, env = "SOAK", default_value_t = 300, value_parser = clap::value_parser!(u64).range(40..=604_800))]
    pub(crate) soak: u64,
    /// Another broker's program: compares this build with it, in the rows push, batch, pull, parked, queued and channels,
    /// and fails if this build costs more
    #[arg(long, env = "AGAINST")]
    pub(crate) against: Option<PathBuf>,
    /// Folder for results.json, and for the brokers' data during the run; must be on the disk to measure
    #[arg(long, env = "RESTANTE_BENCH_OUTPUT", default_value = "target/bench")]
    pub(crate) output: PathBuf,
    /// Folders to search for other brokers
    #[arg(long, env = "PATH", default_value = "/usr/local/bin:/usr/bin:/bin", hide_env_values = true)]
    pub(crate) path: String,
}

impl Arguments {
    /// Measured duration of a turn.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Another command of the benchmark.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Draw the picture of the last run, and show its table again
    Picture {
        /// File to write the picture to
        #[arg(long, default_value = "docs/benchmarks.svg")]
        to: PathBuf,
    },
    /// Run the no-op server, which accepts messages and does nothing with them
    #[command(hide = true)]
    NoOp {
        /// Address to listen on
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// Parses a number with a lower bound.
fn number(least: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("must be a number, at least {least}")),
    }
}
