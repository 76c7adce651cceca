//! Benchmarks of the broker. Machines are noisy, so no absolute number is reliable. A row compares two servers that
//! take turns on the same core within one run, and shows the median and the spread of their ratio.
//!
//! `make bench` runs all rows, `ROWS=push make bench` only some.

mod arguments;
mod broker;
mod cores;
mod disk;
mod load;
mod memory;
mod no_op;
mod peers;
mod picture;
mod report;
mod rounds;
mod rows;
mod server;
mod statistics;
mod stream;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tikv_jemallocator::Jemalloc;

use self::{
    arguments::{Arguments, Command},
    peers::Peers,
    report::machine::Machine,
};

/// The broker's allocator, so that the no-op server has the same one.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::NoOp { listen }) => no_op::serve_until_ended(listen),
        Some(Command::Picture { ref to }) => draw(&arguments.output, to),
        None => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    fs::create_dir_all(&arguments.output)
        .with_context(|| format!("cannot create {} (--output)", arguments.output.display()))?;
    let peers = Peers::find(&arguments.path);
    // Before this process is pinned to one core.
    let machine = Machine::here(arguments, &peers)?;
    report::write(&arguments.output, report::MACHINE, &machine)?;
    cores::prepare()?;
    let rows = rows::run(arguments, &peers)?;
    report::show(&machine, &rows, &arguments.output)?;
    ensure!(!rows.iter().any(report::row::Row::failed), "some rows failed; see the table");
    Ok(())
}

fn draw(output: &Path, to: &Path) -> Result<()> {
    let rows: Vec<report::row::Row> = report::read(output, report::RESULTS)?;
    let machine: Machine = report::read(output, report::MACHINE)?;
    fs::write(to, picture::draw(&rows, &machine.caption())?)
        .with_context(|| format!("cannot write {} (--to)", to.display()))?;
    report::show(&machine, &rows, output)
}
