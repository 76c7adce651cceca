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
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Reconcile until told to stop.
    Run,
    /// Remove this operator's finalizer from every MessageChannel and delete nothing: the operator is about to go, and what
    /// it would have cleaned up must not hang. Channels of other operators stay as they are.
    ReleaseFinalizers(ReleaseArgs),
}

/// What `release-finalizers` needs.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ReleaseArgs {
    /// The operator's Deployment, which is scaled to nothing first, so that no finalizer comes back.
    #[arg(long, requires = "selector")]
    pub deployment: Option<String>,
    /// What selects its pods.
    #[arg(long, requires = "deployment")]
    pub selector: Option<String>,
    /// How long all of it may take, in seconds.
    #[arg(long, default_value_t = 90)]
    pub timeout_seconds: u64,
}

/// What `run` needs.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The image of broker pods, with a tag or a digest.
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
    /// Secrets with which that image is pulled, in the operator's namespace, separated by commas.
    #[arg(long, env = "RESTANTE_BROKER_IMAGE_PULL_SECRETS", value_delimiter = ',', global = true)]
    pub broker_image_pull_secrets: Vec<String>,
    /// Whom broker pods run as, where their MessageBroker does not say: the image's user 65532, or the one that the
    /// cluster gives them, as OpenShift does.
    #[arg(long, env = "RESTANTE_BROKER_USERS", value_enum, default_value = "image", global = true)]
    pub broker_users: BrokerUsers,
    /// A ConfigMap in the operator's namespace whose key broker.yaml is the MessageBroker that an installation comes with. It is watched.
    #[arg(long, env = "RESTANTE_DEFAULT_BROKER_CONFIGMAP", global = true)]
    pub default_broker_configmap: Option<String>,
    /// The operator's own namespace, and the only one in which it serves MessageBrokers.
    #[arg(long, env = "POD_NAMESPACE", default_value = "restante-system", global = true)]
    pub namespace: String,
    /// The release that the operator belongs to. With the namespace, its name among the operators of a cluster.
    #[arg(long, env = "RESTANTE_RELEASE", default_value = "restante", global = true)]
    pub release: String,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "RESTANTE_METRICS_LISTEN", default_value = "0.0.0.0:8081", global = true)]
    pub metrics_listen: SocketAddr,
}

impl RunArgs {
    /// What the operator is called among those of a cluster.
    pub fn identity(&self) -> String {
        format!("{}/{}", self.namespace, self.release)
    }
}

/// Whom broker pods run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BrokerUsers {
    /// The image's user, 65532, with its group and as the group of the volume.
    Image,
    /// Whom the cluster gives them: no user is set.
    Cluster,
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
