//! Flags and environment variables. Nothing else reads either.

mod maintenance;
mod values;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, Parser, ValueEnum};

use ipnet::IpNet;
use values::{cores, external_url, host, log, memory, moments, network, origin, seconds, segment_size, some};

use crate::{http::ExternalUrl, memory::Memory};

pub use maintenance::{
    BackupArguments, CheckArguments, DumpArguments, MaintenanceCommand, RestoreArguments, SalvageArguments,
};

/// The Restante broker: accepts messages by POST, stores them in channels on disk, and delivers them by GET.
///
/// Without Kubernetes: restante-broker --manifests examples/
#[derive(Debug, Clone, Parser)]
#[command(name = "restante-broker", version, about, long_about, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(flatten)]
    pub config: Config,

    /// Command to run instead of the broker.
    #[command(subcommand)]
    pub command: Option<MaintenanceCommand>,
}

/// Configuration of a running broker.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address of the data port, where clients push and pull messages.
    #[arg(long, env = "RESTANTE_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Address of the admin port, which serves /livez, /readyz, /metrics and /metrics/channels.
    #[arg(
        long,
        env = "RESTANTE_ADMIN_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8081"
    )]
    pub admin_listen: SocketAddr,

    /// Address of the control port, where the operator programs channels, and where dead letters are redriven and
    /// messages purged. No control port by default.
    #[arg(
        long,
        env = "RESTANTE_CONTROL_LISTEN",
        value_name = "ADDRESS:PORT",
        requires = "control_token_file"
    )]
    pub control_listen: Option<SocketAddr>,

    /// File with the bearer token of the control port; required with --control-listen.
    #[arg(long, env = "RESTANTE_CONTROL_TOKEN_FILE", value_name = "FILE")]
    pub control_token_file: Option<PathBuf>,

    /// Data folder: messages, addresses and keys. Only one broker at a time can use it.
    #[arg(long, env = "RESTANTE_DATA_DIR", value_name = "FOLDER", default_value = "./restante-data")]
    pub data_dir: PathBuf,

    /// MessageChannel manifests, in the format of kubectl: a file, or a folder of .yaml files whose names do not begin
    /// with a dot. Read again on SIGHUP.
    #[arg(long, env = "RESTANTE_MANIFESTS", value_name = "FILE OR FOLDER")]
    pub manifests: Option<PathBuf>,

    /// Time to wait for another broker to release the data folder, in whole seconds, at most 86400.
    #[arg(long, env = "RESTANTE_LOCK_WAIT", value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub lock_wait: Duration,

    /// Host names accepted in the Host header, besides IP addresses and localhost; * accepts any.
    #[arg(long, env = "RESTANTE_ALLOWED_HOSTS", value_name = "NAME", value_delimiter = ',', value_parser = host)]
    pub allowed_hosts: Vec<String>,

    /// Origins of web pages that may call the broker from a browser, such as https://app.example.com; * allows any, and
    /// none is allowed by default.
    #[arg(long, env = "RESTANTE_ALLOWED_ORIGINS", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub allowed_origins: Vec<String>,

    /// URL by which clients outside reach the broker, such as https://example.com/mq. Links in answers begin with its
    /// path.
    #[arg(long, env = "RESTANTE_EXTERNAL_URL", value_name = "URL", value_parser = external_url)]
    pub external_url: Option<ExternalUrl>,

    /// Networks or single addresses of proxies whose X-Forwarded-For and X-Forwarded-Prefix are trusted, such as
    /// 10.0.0.0/8.
    #[arg(long, env = "RESTANTE_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,

    /// Maximum of client connections, at least 1; beyond it, idle connections are closed first, then new ones.
    #[arg(long, env = "RESTANTE_CONNECTIONS_MAX", value_name = "NUMBER", default_value_t = 16_000, value_parser = some)]
    pub connections_max: usize,

    /// Time limit for a request's head, in seconds, more than 0 and at most 86400. It begins with the connection, and
    /// for later requests with their first byte.
    #[arg(long, env = "RESTANTE_HEAD_TIMEOUT", value_name = "SECONDS", default_value = "10", value_parser = moments)]
    pub head_timeout: Duration,

    /// Time limit for an idle connection between two requests, in seconds, more than 0 and at most 86400. The default
    /// exceeds the 600 s of common load balancers: they should close idle connections, not the broker.
    #[arg(long, env = "RESTANTE_KEEP_ALIVE", value_name = "SECONDS", default_value = "620", value_parser = moments)]
    pub keep_alive: Duration,

    /// Time limit for a request's body, in seconds, plus 1 s for each 4 KiB of it; beyond it the answer is 408. More
    /// than 0 and at most 86400.
    #[arg(long, env = "RESTANTE_BODY_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = moments)]
    pub body_timeout: Duration,

    /// Time limit for a client to receive an answer, in seconds, plus 1 s for each 4 KiB received; beyond it the
    /// connection, or the HTTP/2 stream, is closed. More than 0 and at most 86400.
    #[arg(long, env = "RESTANTE_WRITE_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = moments)]
    pub write_timeout: Duration,

    /// Maximum of open requests on one HTTP/2 connection, at least 1.
    #[arg(long, env = "RESTANTE_H2_STREAMS_MAX", value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub h2_streams_max: u32,

    /// Memory for request bodies in flight; beyond it pushes are answered 503 busy. Default: an eighth of the memory
    /// available to the process, from 32MiB to 256MiB.
    #[arg(long, env = "RESTANTE_BODY_MEMORY", value_name = "SIZE", default_value_t = Memory::of_this_process().budget(), value_parser = memory)]
    pub body_memory: ByteSize,

    /// Memory for answers in flight to receivers; beyond it pulls are answered 503 busy. Default: an eighth of the
    /// memory available to the process, from 32MiB to 256MiB.
    #[arg(long, env = "RESTANTE_ANSWER_MEMORY", value_name = "SIZE", default_value_t = Memory::of_this_process().budget(), value_parser = memory)]
    pub answer_memory: ByteSize,

    /// Memory for bodies that receivers are likely to pull next; other bodies are read from disk. Default: an eighth of
    /// the memory available to the process, from 32MiB to 256MiB.
    #[arg(long, env = "RESTANTE_HOT_BODY_MEMORY", value_name = "SIZE", default_value_t = Memory::of_this_process().budget())]
    pub hot_body_memory: ByteSize,

    /// Maximum of waiting receivers on one channel; beyond it pulls are answered 429.
    #[arg(long, env = "RESTANTE_WAITING_RECEIVERS_MAX", value_name = "NUMBER", default_value_t = 10_000)]
    pub waiting_receivers_max: usize,

    /// Maximum of open requests, waiting pulls included, at least 1; beyond it requests are answered 503. One client
    /// gets at most three quarters of them.
    #[arg(long, env = "RESTANTE_REQUESTS_MAX", value_name = "NUMBER", default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_max: u32,

    /// Maximum of senders that wait for room in one channel; beyond it pushes with Prefer: wait are answered 429.
    #[arg(long, env = "RESTANTE_WAITING_SENDERS_MAX", value_name = "NUMBER", default_value_t = 64)]
    pub waiting_senders_max: usize,

    /// Maximum of remembered idempotency keys; beyond it pushes with a key are answered 503. Default: the number that
    /// fits in an eighth of the memory available to the process, at most 8000000.
    #[arg(long, env = "RESTANTE_IDEMPOTENCY_KEYS_MAX", value_name = "NUMBER", default_value_t = Memory::of_this_process().keys())]
    pub idempotency_keys_max: usize,

    /// Size of the log's segment files, from 1MiB to 2GiB. A log has at least four, and a message must fit in one.
    #[arg(long, env = "RESTANTE_SEGMENT_SIZE", value_name = "SIZE", default_value = "64MiB", value_parser = segment_size)]
    pub segment_size: ByteSize,

    /// Worker threads, 1 to 64; each owns a part of the channels and a log of its own, of at least four segment files.
    /// The number may change at each start: older logs are copied gradually.
    #[arg(long, env = "RESTANTE_CORES", value_name = "NUMBER", default_value = "1", value_parser = cores)]
    pub cores: NonZeroUsize,

    /// Count the time between two runs as passed even if the machine rebooted or was replaced. Only the wall clock
    /// measures that time, so set this only where the clock is right at each start. Otherwise TTLs, delays and
    /// deduplication windows continue where they stopped.
    #[arg(
        long,
        env = "RESTANTE_COUNT_DOWNTIME",
        value_name = "true|false",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    pub count_downtime: bool,

    /// Time that open requests get to finish after SIGTERM, in whole seconds, at most 86400.
    #[arg(long, env = "RESTANTE_DRAIN_SECONDS", value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub drain_seconds: Duration,

    /// Maximum of channels that /metrics/channels lists.
    #[arg(long, env = "RESTANTE_METRICS_CHANNELS_MAX", value_name = "NUMBER", default_value_t = 10_000)]
    pub metrics_channels_max: usize,

    /// Log filter: a level (off, error, warn, info, debug, trace), or targets with their levels, such as
    /// warn,restante_broker=debug.
    #[arg(long, env = "RESTANTE_LOG", value_name = "DIRECTIVES", default_value = "info", value_parser = log)]
    pub log: String,

    /// Log format, on standard error.
    #[arg(long, env = "RESTANTE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal, unless NO_COLOR is set.
    Text,
    /// For log collectors: one JSON object per line.
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
    fn a_maintenance_command_needs_no_flag_of_a_broker() {
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
