//! Arguments and environment, read once.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs Restante's brokers and programs their channels, as described by custom resources.
#[derive(Debug, Parser)]
#[command(name = "restante-operator", version, about)]
pub struct Cli {
    /// Command to execute (default: run).
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Log filter: a level, or directives such as info,kube=debug.
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub log: String,
    /// Format of log lines.
    #[arg(long, env = "RESTANTE_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Reconcile until SIGTERM or SIGINT.
    Run,
    /// Remove this operator's finalizer from every MessageChannel, before an uninstall.
    ///
    /// Without this, deleted MessageChannels and their namespaces would stay in Terminating. Deletes nothing, and does
    /// not change channels of other operators.
    ReleaseFinalizers(ReleaseArgs),
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ReleaseArgs {
    /// Deployment of the operator. It is scaled to 0 first, so that no finalizer is added again.
    #[arg(long, requires = "selector")]
    pub deployment: Option<String>,
    /// Label selector of the Deployment's pods.
    #[arg(long, requires = "deployment")]
    pub selector: Option<String>,
    /// Time limit of the command, in seconds.
    #[arg(long, default_value_t = 90)]
    pub timeout_seconds: u64,
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Image of the broker pods, with a tag or a digest.
    #[arg(
        long,
        env = "RESTANTE_BROKER_IMAGE",
        default_value = concat!("restante.local/broker:", env!("CARGO_PKG_VERSION")),
        global = true
    )]
    pub broker_image: String,
    /// Pull policy of the broker image.
    #[arg(
        long,
        env = "RESTANTE_BROKER_IMAGE_PULL_POLICY",
        value_parser = ["Always", "IfNotPresent", "Never"],
        default_value = "IfNotPresent",
        global = true
    )]
    pub broker_image_pull_policy: String,
    /// Secrets for pulling the broker image, in the operator's namespace, separated by commas.
    #[arg(long, env = "RESTANTE_BROKER_IMAGE_PULL_SECRETS", value_delimiter = ',', global = true)]
    pub broker_image_pull_secrets: Vec<String>,
    /// User of broker pods whose MessageBroker sets none: the image's user 65532, or a user chosen by the cluster, as
    /// on OpenShift.
    #[arg(long, env = "RESTANTE_BROKER_USERS", value_enum, default_value = "image", global = true)]
    pub broker_users: BrokerUsers,
    /// ConfigMap in the operator's namespace whose key broker.yaml contains the default MessageBroker. The operator
    /// watches it and applies each change.
    #[arg(long, env = "RESTANTE_DEFAULT_BROKER_CONFIGMAP", global = true)]
    pub default_broker_configmap: Option<String>,
    /// Namespace of the operator, and the only one in which it serves MessageBrokers.
    #[arg(long, env = "POD_NAMESPACE", default_value = "restante-system", global = true)]
    pub namespace: String,
    /// Helm release of the operator. Together with the namespace, it identifies the operator in its cluster.
    #[arg(long, env = "RESTANTE_RELEASE", default_value = "restante", global = true)]
    pub release: String,
    /// Listen address of /livez, /readyz and /metrics.
    #[arg(long, env = "RESTANTE_METRICS_LISTEN", default_value = "0.0.0.0:8081", global = true)]
    pub metrics_listen: SocketAddr,
}

impl RunArgs {
    /// The identity of the operator in its cluster: `<namespace>/<release>`.
    pub fn identity(&self) -> String {
        format!("{}/{}", self.namespace, self.release)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BrokerUsers {
    /// User, group and volume group 65532, as in the image.
    Image,
    /// No user is set: the cluster chooses it.
    Cluster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
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
    fn releasing_takes_both_deployment_and_selector_or_neither() {
        let parse = |arguments: &[&str]| {
            Cli::try_parse_from([&["restante-operator", "release-finalizers"], arguments].concat())
        };
        assert!(parse(&[]).is_ok());
        assert!(parse(&["--namespace", "mq", "--deployment", "operator", "--selector", "a=b"]).is_ok());
        assert!(parse(&["--deployment", "operator"]).is_err());
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
