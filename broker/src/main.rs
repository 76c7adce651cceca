//! `restante-broker`: wires arguments and logging to [`restante_broker::run`].

use std::process::ExitCode;

use clap::Parser;
use restante_broker::{Arguments, logging, maintenance, run};
use tikv_jemallocator::Jemalloc;

/// An idle connection takes two thirds of the memory that it takes with glibc's allocator.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    if let Some(command) = command {
        return maintenance::run(command);
    }
    logging::init(&config.log, config.log_format);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}
