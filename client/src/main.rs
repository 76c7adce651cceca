//! The command `restante`: arguments, a runtime, and the exit code.

mod cli;
mod config;
mod exit;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let config = config::Config::parse();
    // One thread is enough: each command does one thing, and blocking work runs on tokio's blocking threads.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::report(&cli::Failure::from(error)),
    };
    let ended = runtime.block_on(cli::run(config));
    // A read of standard input cannot be interrupted, so the process does not wait for it.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => cli::report(&failure),
    }
}
