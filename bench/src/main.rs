//! Benchmarks of the broker. Machines are noisy, so nothing here is an absolute number to rely on: a row compares two
//! servers on the same core, turn by turn, in one run, and says the median and the spread of their ratio.
//!
//! `make bench` runs all rows, `ROWS=push make bench` some.

mod arguments;
mod cores;
mod load;
mod no_op;
mod report;
mod request;
mod rows;
mod server;
mod statistics;

use std::fs;

use anyhow::{Context, Result};
use clap::Parser;
use tikv_jemallocator::Jemalloc;

use self::{
    arguments::{Arguments, Command},
    report::{Machine, Report},
};

/// The broker's: what is compared with it has the same.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::NoOp { listen }) = arguments.command {
        return no_op::serve_until_ended(listen);
    }
    fs::create_dir_all(&arguments.output)
        .with_context(|| format!("{} cannot be made (--output)", arguments.output.display()))?;
    // Before this process keeps to one core.
    let machine = Machine::here(&arguments.output)?;
    cores::prepare()?;
    let rows = rows::run(&arguments)?;
    Report { machine, rows }.write(&arguments.output)
}
