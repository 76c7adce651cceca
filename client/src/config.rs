//! Arguments and environment of the command `restante`: the only room that reads either.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use restante_client::{Address, ClientOptions, OptionsError, ProxyChoice};

use crate::cli::exit;

/// Sends and receives messages through a Restante broker, from behind any firewall that lets outgoing HTTP through.
#[derive(Debug, Parser)]
#[command(name = "restante", version, after_help = exit::HELP, max_term_width = 110)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the broker.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// The broker's base URL
    #[arg(long, global = true, env = "RESTANTE_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// HTTP proxy for every request, or `none`; without it, HTTPS_PROXY, HTTP_PROXY and NO_PROXY count
    #[arg(long, global = true, env = "RESTANTE_PROXY", value_name = "URL", hide_env_values = true)]
    pub(crate) proxy: Option<String>,
    /// PEM file of certificates to trust besides the system's; may be repeated, or joined by `:`
    #[arg(long, global = true, env = "RESTANTE_CA_CERT", value_name = "FILE", value_delimiter = ':')]
    pub(crate) ca_cert: Vec<PathBuf>,
    /// How long to go on trying while the broker cannot be reached or is busy, in seconds
    #[arg(long, global = true, env = "RESTANTE_DEADLINE", value_name = "SECONDS", default_value = "60",
          value_parser = seconds)]
    pub(crate) deadline: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a message, or each line of a file as one, and print its Message-Id
    Push(PushArgs),
    /// Receive a message and write its content, byte for byte, to standard output
    Pull(PullArgs),
    /// The message is done: take it out of its channel
    Settle(LeaseArgs),
    /// Give the message back: the next receiver gets it
    Release(LeaseArgs),
    /// Keep the message for longer, and print for how many seconds
    Renew(RenewArgs),
    /// Show how many messages channels hold
    Channel(ChannelArgs),
    /// Print a completion script: `source <(restante completions bash)`
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The destination: namespace/name
    pub(crate) address: Address,
    /// The content; `-` or nothing is standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// What the content is, like application/json; handed back with it
    #[arg(long, short = 't', value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// A header that travels with the message, like 'Meta-Colour: red'; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// The key by which the broker recognises a repeat; with --lines, the line's number is added. Random without it
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Each line is a message; --deadline is each line's own
    #[arg(long)]
    pub(crate) lines: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The source: namespace/name
    pub(crate) address: Address,
    /// Seconds to wait for a message; the channel's default without it, and never more than the channel allows
    #[arg(long, short = 'w', value_name = "SECONDS")]
    pub(crate) wait: Option<u32>,
    /// Seconds that the message is kept from other receivers; it is renewed while it is being worked on
    #[arg(long, short = 'l', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lease: Option<u32>,
    /// Go on for ever: ask again after every message and every time-out. Ends with SIGINT or SIGTERM, exit code 0
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// Write to this file instead of standard output; with --follow, append to it
    #[arg(long, short = 'O', value_name = "FILE", conflicts_with = "exec")]
    pub(crate) output_file: Option<PathBuf>,
    /// End each message with a newline, as `push --lines` takes them
    #[arg(long, conflicts_with = "exec")]
    pub(crate) lines: bool,
    /// Leave the message leased and print the lease: to standard error, or with -O to standard output
    #[arg(long, conflicts_with_all = ["exec", "follow"])]
    pub(crate) no_settle: bool,
    /// Go on asking where the broker refuses, for instance because the channel does not exist yet
    #[arg(long, requires = "follow")]
    pub(crate) keep_asking: bool,
    /// Ask by POST instead of GET, where a proxy caches or repeats a GET
    #[arg(long)]
    pub(crate) post: bool,
    /// Also tell on standard error of each time-out met and each request repeated
    #[arg(long, short = 'v')]
    pub(crate) verbose: bool,
    /// Run a command for each message: the content on its standard input, and RESTANTE_MESSAGE_ID,
    /// RESTANTE_DELIVERIES and RESTANTE_CONTENT_TYPE in its environment. Exit code 0 settles the message, anything
    /// else gives it back. Comes last: everything after it belongs to the command
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) exec: Option<Vec<OsString>>,
}

#[derive(Debug, Args)]
pub(crate) struct LeaseArgs {
    /// The lease: what follows /v1/leases/ in the answer's Location, or what `pull --no-settle` printed
    pub(crate) lease: String,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// The lease, as for settle
    pub(crate) lease: String,
    /// For how long from now; the channel's default without it
    #[arg(long, short = 'l', value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ChannelArgs {
    /// The channels: namespace/name
    #[arg(required = true, value_name = "NAMESPACE/NAME", value_parser = channel)]
    pub(crate) channels: Vec<(String, String)>,
    /// The form
    #[arg(long, short = 'o', value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns, for people
    Table,
    /// A JSON array
    Json,
    /// A YAML sequence
    Yaml,
}

impl BrokerArgs {
    /// The client's options, certificates read.
    pub(crate) fn options(&self) -> Result<ClientOptions, OptionsError> {
        let mut options = ClientOptions::new(&self.url);
        options.proxy = match self.proxy.as_deref() {
            None | Some("") => ProxyChoice::System,
            Some("none") => ProxyChoice::Direct,
            Some(url) => ProxyChoice::Url(url.to_owned()),
        };
        for file in &self.ca_cert {
            options.add_ca_file(file)?;
        }
        Ok(options)
    }
}

/// Whole or broken seconds, more than none.
fn seconds(text: &str) -> Result<Duration, String> {
    let error = || "must be a number of seconds above 0, like 60 or 0.5".to_owned();
    let seconds: f64 = text.parse().map_err(|_| error())?;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero()).ok_or_else(error)
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or("must be a name, a colon and a value, like 'Meta-Colour: red'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A channel's name: two segments, each what Kubernetes allows in a name (RFC 1123 subdomain), so that no name can
/// change the path that it is put into.
fn channel(text: &str) -> Result<(String, String), String> {
    let fits = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        !part.is_empty() && part.bytes().all(allowed) && !part.starts_with('.')
    };
    match text.split_once('/') {
        Some((namespace, name)) if fits(namespace) && fits(name) => Ok((namespace.into(), name.into())),
        _ => Err("must be namespace/name, like demo/orders".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Config::command().debug_assert();
    }

    #[test]
    fn everything_after_exec_belongs_to_the_command() {
        let words = ["restante", "pull", "a/b", "--follow", "--exec", "sh", "-c", "cat", "--follow"];
        let Command::Pull(pull) = Config::try_parse_from(words).unwrap().command else {
            panic!("not a pull")
        };
        assert_eq!(pull.exec.unwrap(), ["sh", "-c", "cat", "--follow"]);
    }

    #[test]
    fn a_deadline_is_some_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "soon", "NaN", "inf", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_channel_has_two_segments_that_cannot_leave_their_path() {
        assert_eq!(channel("demo/orders"), Ok(("demo".into(), "orders".into())));
        for bad in ["demo", "demo/", "/orders", "demo/a/b", "demo/..", "demo/a?b", "Demo/a"] {
            assert!(channel(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        assert_eq!(header("Meta-a: b: c"), Ok(("Meta-a".into(), "b: c".into())));
        assert!(header("Meta-a").is_err());
    }
}
