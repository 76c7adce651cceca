//! The operator's process: arguments, the crypto provider, logs, and then [`restante_operator::run`].

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::Parser;
use restante_operator::{
    config::{Cli, Command},
    logging, release_finalizers, run,
    signals::ShutdownSignals,
};
use restante_wire::terminal;

fn main() -> ExitCode {
    match started(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What an API server or a broker said may be in it. Nobody is left to be told when standard error is closed.
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
    // One thread: the operator waits for API servers and brokers, and computes next to nothing.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut signals = ShutdownSignals::listen().context("cannot listen for signals")?;
        let client = async {
            let client = kube::Client::try_default().await;
            client.context("no cluster: run in a pod with a ServiceAccount, or set KUBECONFIG")
        };
        match cli.command.unwrap_or(Command::Run) {
            Command::Run => match signals.race(client).await {
                Some(client) => Ok(run::run(client?, cli.run, signals).await?),
                None => Ok(()),
            },
            Command::ReleaseFinalizers(args) => {
                let released = async {
                    let namespace = &cli.run.namespace;
                    Ok(release_finalizers::release_finalizers(client.await?, namespace, &args).await?)
                };
                // What it has done stays done, but whoever waits for it must not take it for all.
                let told =
                    || Err(anyhow!("told to stop before every MessageChannel was let go: run it again"));
                signals.race(released).await.unwrap_or_else(told)
            }
        }
    })
}
