//! Flags and environment variables: the only place that reads either.

mod care;
mod values;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, Parser, ValueEnum};

use ipnet::IpNet;
use values::{cores, external_url, host, log, memory, moments, network, origin, seconds, segment_size, some};

use crate::{http::ExternalUrl, memory::Memory};

pub use care::{
    BackupArguments, CareCommand, CheckArguments, DumpArguments, RestoreArguments, SalvageArguments,
};

/// The broker of Restante: takes messages by POST, keeps them in channels on its disk, and gives them out by GET.
///
/// Without Kubernetes: restante-broker --manifests examples/
#[derive(Debug, Clone, Parser)]
#[command(name = "restante-broker", version, about, long_about, subcommand_negates_reqs = true)]
pub struct Arguments {
    /// How the broker runs.
    #[command(flatten)]
    pub config: Config,

    /// What to do instead of running it.
    #[command(subcommand)]
    pub command: Option<CareCommand>,
}

/// How a broker runs.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Where clients send and ask for messages.
    #[arg(long, env = "RESTANTE_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where probes and metrics are: /livez, /readyz, /metrics, /metrics/channels.
    #[arg(
        long,
        env = "RESTANTE_ADMIN_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8081"
    )]
    pub admin_listen: SocketAddr,

    /// Where the operator tells the broker its channels, and where dead letters are redriven and messages purged.
    #[arg(
        long,
        env = "RESTANTE_CONTROL_LISTEN",
        value_name = "ADDRESS:PORT",
        requires = "control_token_file"
    )]
    pub control_listen: Option<SocketAddr>,

    /// The file with the operator's credential.
    #[arg(long, env = "RESTANTE_CONTROL_TOKEN_FILE", value_name = "FILE")]
    pub control_token_file: Option<PathBuf>,

    /// The folder of the messages. One broker at a time has it.
    #[arg(long, env = "RESTANTE_DATA_DIR", value_name = "FOLDER", default_value = "./restante-data")]
    pub data_dir: PathBuf,

    /// MessageChannel manifests, as kubectl takes them: a file, or a folder of .yaml files whose names do not begin with a dot.
    /// Read again on SIGHUP.
    #[arg(long, env = "RESTANTE_MANIFESTS", value_name = "FILE OR FOLDER")]
    pub manifests: Option<PathBuf>,

    /// How long to wait for another broker to let go of the data folder, in seconds.
    #[arg(long, env = "RESTANTE_LOCK_WAIT", value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub lock_wait: Duration,

    /// Host names that the broker may be asked for by, besides IP addresses and localhost; * for any.
    #[arg(long, env = "RESTANTE_ALLOWED_HOSTS", value_name = "NAME", value_delimiter = ',', value_parser = host)]
    pub allowed_hosts: Vec<String>,

    /// Origins of pages that may use the broker in a browser, such as https://app.example.com; * for any.
    #[arg(long, env = "RESTANTE_ALLOWED_ORIGINS", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub allowed_origins: Vec<String>,

    /// What clients outside use to reach the broker, such as https://example.com/mq: what its answers lead to begins with that path.
    #[arg(long, env = "RESTANTE_EXTERNAL_URL", value_name = "URL", value_parser = external_url)]
    pub external_url: Option<ExternalUrl>,

    /// Networks, or single addresses, of the proxies whose X-Forwarded-For and X-Forwarded-Prefix are believed, such as 10.0.0.0/8.
    #[arg(long, env = "RESTANTE_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,

    /// How many clients may be connected; over it a new connection is closed at once.
    #[arg(long, env = "RESTANTE_CONNECTIONS_MAX", value_name = "NUMBER", default_value_t = 16_000, value_parser = some)]
    pub connections_max: usize,

    /// Time for the head of a request, in seconds: from the connection to the first, and from the beginning of each next one.
    #[arg(long, env = "RESTANTE_HEAD_TIMEOUT", value_name = "SECONDS", default_value = "10", value_parser = moments)]
    pub head_timeout: Duration,

    /// Time that a connection may be idle between two requests, in seconds. Longer than the 600 s of common load balancers, so that
    /// they close idle connections and not the broker.
    #[arg(long, env = "RESTANTE_KEEP_ALIVE", value_name = "SECONDS", default_value = "620", value_parser = moments)]
    pub keep_alive: Duration,

    /// How long a body may take, in seconds, besides 1 s for each 4 KiB of it; over it the request is answered 408.
    #[arg(long, env = "RESTANTE_BODY_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = moments)]
    pub body_timeout: Duration,

    /// Time that a client may take for its answer, in seconds, besides 1 s for each 4 KiB that it takes; over it its connection, or its
    /// HTTP/2 stream, is closed.
    #[arg(long, env = "RESTANTE_WRITE_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = moments)]
    pub write_timeout: Duration,

    /// How many requests one HTTP/2 connection may have open.
    #[arg(long, env = "RESTANTE_H2_STREAMS_MAX", value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub h2_streams_max: u32,

    /// Memory for the bodies of requests in flight; over it pushes are answered 503 busy. An eighth of the memory that the
    /// process may have, from 32MiB to 256MiB, unless said.
    #[arg(long, env = "RESTANTE_BODY_MEMORY", value_name = "SIZE", default_value_t = Memory::of_this_process().purse(), value_parser = memory)]
    pub body_memory: ByteSize,

    /// Memory for answers on their way to receivers; over it pulls are answered 503 busy. An eighth of the memory that the
    /// process may have, from 32MiB to 256MiB, unless said.
    #[arg(long, env = "RESTANTE_ANSWER_MEMORY", value_name = "SIZE", default_value_t = Memory::of_this_process().purse(), value_parser = memory)]
    pub answer_memory: ByteSize,

    /// Memory for contents that receivers are likely to ask for next; others are read from the disk. An eighth of the memory that the
    /// process may have, from 32MiB to 256MiB, unless said.
    #[arg(long, env = "RESTANTE_HOT_BODY_MEMORY", value_name = "SIZE", default_value_t = Memory::of_this_process().purse())]
    pub hot_body_memory: ByteSize,

    /// How many receivers may wait on one channel; over it pulls are answered 429.
    #[arg(long, env = "RESTANTE_WAITING_RECEIVERS_MAX", value_name = "NUMBER", default_value_t = 10_000)]
    pub waiting_receivers_max: usize,

    /// Requests that are answered at a time, waiting pulls included; over it they are answered 503. One client may have three quarters.
    #[arg(long, env = "RESTANTE_REQUESTS_MAX", value_name = "NUMBER", default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_max: u32,

    /// How many senders may wait for room in one channel; over it pushes with Prefer: wait are answered 429.
    #[arg(long, env = "RESTANTE_WAITING_SENDERS_MAX", value_name = "NUMBER", default_value_t = 64)]
    pub waiting_senders_max: usize,

    /// How many idempotency keys are remembered; over it pushes with a key are answered 503. As many as an eighth of the memory
    /// that the process may have holds, and at most 8000000, unless said.
    #[arg(long, env = "RESTANTE_IDEMPOTENCY_KEYS_MAX", value_name = "NUMBER", default_value_t = Memory::of_this_process().keys())]
    pub idempotency_keys_max: usize,

    /// Size of the log's segment files. At least three are kept, and a message must fit in one.
    #[arg(long, env = "RESTANTE_SEGMENT_SIZE", value_name = "SIZE", default_value = "64MiB", value_parser = segment_size)]
    pub segment_size: ByteSize,

    /// How many cores take and give messages: threads, each with a part of the channels and a log of its own, which is four
    /// segment files at least. May be another number at each start: what is in the logs of before is copied by and by.
    #[arg(long, env = "RESTANTE_CORES", value_name = "NUMBER", default_value = "1", value_parser = cores)]
    pub cores: NonZeroUsize,

    /// Count the time for which no broker ran also when the machine is another or booted meanwhile: then only the wall clock tells
    /// how long that was, so set this where it is right at each start. Without it, lives, delays and windows go on where they were.
    #[arg(
        long,
        env = "RESTANTE_COUNT_DOWNTIME",
        value_name = "true|false",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    pub count_downtime: bool,

    /// How long open requests have after SIGTERM, in seconds.
    #[arg(long, env = "RESTANTE_DRAIN_SECONDS", value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub drain_seconds: Duration,

    /// How many channels /metrics/channels tells of.
    #[arg(long, env = "RESTANTE_METRICS_CHANNELS_MAX", value_name = "NUMBER", default_value_t = 10_000)]
    pub metrics_channels_max: usize,

    /// What is logged: a level, or targets with their levels, such as warn,restante_broker=debug.
    #[arg(long, env = "RESTANTE_LOG", value_name = "DIRECTIVES", default_value = "info", value_parser = log)]
    pub log: String,

    /// How it is logged.
    #[arg(long, env = "RESTANTE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// The form of log lines, on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: in colours on a terminal, unless NO_COLOR is set.
    Text,
    /// For log collectors: one JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_is_an_environment_variable_of_its_name() {
        for argument in Arguments::command().get_arguments() {
            if let (Some(flag), Some(env)) = (argument.get_long(), argument.get_env()) {
                assert_eq!(
                    format!("RESTANTE_{}", flag.to_uppercase().replace('-', "_")),
                    env.to_string_lossy()
                );
            } else {
                assert!(["help", "version"].contains(&argument.get_id().as_str()), "{argument}");
            }
        }
    }

    #[test]
    fn who_looks_after_data_needs_no_flag_of_a_broker() {
        for words in ["check data --json", "dump data --channel a/b", "restore - data", "salvage data new"] {
            let words = ["broker", "--control-listen", "127.0.0.1:8082"].into_iter().chain(words.split(' '));
            assert!(Arguments::try_parse_from(words).unwrap().command.is_some());
        }
    }

    #[test]
    fn a_control_port_needs_a_credential() {
        assert!(Arguments::try_parse_from(["broker", "--control-listen", "127.0.0.1:8082"]).is_err());
    }
}
