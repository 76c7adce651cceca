//! What a run is told.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

use crate::rows::Rows;

/// Compares the broker with what its machine and its HTTP stack can do, and with other brokers, turn by turn in one run.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Another part of the benchmark.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The rows to run.
    #[arg(long, env = "ROWS", value_delimiter = ',', value_enum, default_values_t = Rows::ALL)]
    pub(crate) rows: Vec<Rows>,
    /// How often each server has its turn.
    #[arg(long, env = "ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// How long a turn is measured, in seconds.
    #[arg(long, env = "SECONDS_PER_TURN", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// How many messages the deep queue has.
    #[arg(long, env = "BACKLOG", default_value_t = 10_000_000, value_parser = number(10_000))]
    pub(crate) backlog: usize,
    /// How many channels the broker with many channels has.
    #[arg(long, env = "CHANNELS", default_value_t = 1_000_000, value_parser = number(1_000))]
    pub(crate) channels: usize,
    /// How long the soak lasts, in seconds.
    #[arg(long, env = "SOAK", default_value_t = 300, value_parser = clap::value_parser!(u64).range(40..=604_800))]
    pub(crate) soak: u64,
    /// The folder of results.json, and of the brokers' data while it runs: on the disk that is to be measured.
    #[arg(long, env = "RESTANTE_BENCH_OUTPUT", default_value = "target/bench")]
    pub(crate) output: PathBuf,
    /// Where other brokers are looked for.
    #[arg(long, env = "PATH", default_value = "/usr/local/bin:/usr/bin:/bin", hide_env_values = true)]
    pub(crate) path: String,
}

impl Arguments {
    /// How long a turn is measured.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Another part of the benchmark.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Draws the picture of the last run, and shows its table again.
    Picture {
        /// The file that it is written to.
        #[arg(long, default_value = "docs/benchmarks.svg")]
        to: PathBuf,
    },
    /// The server that the broker is compared with: takes messages and does nothing with them.
    #[command(hide = true)]
    NoOp {
        /// Where.
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// At least so much.
fn number(least: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("must be a number, at least {least}")),
    }
}
