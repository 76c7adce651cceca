//! Arguments and environment, read once.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps Restante's brokers running and their channels programmed, from custom resources.
#[derive(Debug, Parser)]
#[command(name = "restante-operator", version, about)]
pub struct Cli {
    /// What to do; `run` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What is logged: a level, or directives such as info,kube=debug.
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub log: String,
    /// How it is logged.
    #[arg(long, env = "RESTANTE_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// What `run` needs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Reconcile until told to stop.
    Run,
    /// Remove the operator's finalizer from every MessageChannel and delete nothing: the operator is about to go, and
    /// what it would have cleaned up must not hang.
    ReleaseFinalizers,
}

/// What `run` needs.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The image of broker pods.
    #[arg(
        long,
        env = "RESTANTE_BROKER_IMAGE",
        default_value = concat!("restante.local/broker:", env!("CARGO_PKG_VERSION")),
        global = true
    )]
    pub broker_image: String,
    /// When that image is pulled.
    #[arg(
        long,
        env = "RESTANTE_BROKER_IMAGE_PULL_POLICY",
        value_parser = ["Always", "IfNotPresent", "Never"],
        default_value = "IfNotPresent",
        global = true
    )]
    pub broker_image_pull_policy: String,
    /// The operator's own namespace, and the only one in which it serves MessageBrokers.
    #[arg(long, env = "POD_NAMESPACE", default_value = "restante-system", global = true)]
    pub namespace: String,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "RESTANTE_METRICS_LISTEN", default_value = "0.0.0.0:8081", global = true)]
    pub metrics_listen: SocketAddr,
}

/// How lines are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_means_run() {
        let cli = Cli::parse_from(["restante-operator", "--namespace", "mq"]);
        assert_eq!(cli.command, None);
        assert_eq!(cli.run.namespace, "mq");
    }

    #[test]
    fn flags_may_follow_the_subcommand() {
        let cli = Cli::parse_from(["restante-operator", "run", "--broker-image", "example.com/broker:1"]);
        assert_eq!(
            (cli.command, cli.run.broker_image.as_str()),
            (Some(Command::Run), "example.com/broker:1")
        );
    }
}
