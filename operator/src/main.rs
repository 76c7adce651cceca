//! The operator's process: arguments, the crypto provider, logs, and then [`restante_operator::runtime`].

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::Parser;
use restante_operator::{
    config::{Cli, Command},
    logging, release_finalizers, runtime,
    signals::ShutdownSignals,
};
use restante_wire::terminal;

fn main() -> ExitCode {
    match started(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The error may quote an API server or a broker, so its text is escaped. If standard error is closed, the
            // error cannot be reported anywhere.
            let _ = writeln!(io::stderr().lock(), "Error: {}", terminal::lines(&format!("{error:?}")));
            ExitCode::FAILURE
        }
    }
}

fn started(cli: Cli) -> anyhow::Result<()> {
    logging::init(&cli.log, cli.log_format)?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow!("another crypto provider was installed before ring"))?;
    // One thread is enough: the operator mostly waits for API servers and brokers.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut signals = ShutdownSignals::listen().context("cannot listen for signals")?;
        let client = async {
            let client = kube::Client::try_default().await;
            // One line: the causes of this error repeat its text.
            client.map_err(|error| {
                anyhow!("no cluster configuration found; run in a pod with a ServiceAccount, or set KUBECONFIG: {error}")
            })
        };
        match cli.command.unwrap_or(Command::Run) {
            Command::Run => match signals.race(client).await {
                Some(client) => Ok(runtime::run(client?, cli.run, signals).await?),
                None => Ok(()),
            },
            Command::ReleaseFinalizers(args) => {
                let released = async {
                    let namespace = &cli.run.namespace;
                    Ok(release_finalizers::release_finalizers(client.await?, namespace, &args).await?)
                };
                // Removed finalizers stay removed, but the exit code must show that the command is incomplete.
                let interrupted = || {
                    Err(anyhow!(
                        "interrupted by a signal before every MessageChannel was released; run the command again"
                    ))
                };
                signals.race(released).await.unwrap_or_else(interrupted)
            }
        }
    })
}
