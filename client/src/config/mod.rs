//! Arguments and environment of the command `restante`. Only this module reads them.

mod channel;
mod lease;
mod pull;
mod push;
mod request;
#[cfg(test)]
mod sweep;
mod value;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use restante_client::{ClientOptions, OptionsError, ProxyChoice};

use self::value::seconds;
pub(crate) use self::{
    channel::{
        ChannelArgs, ControlArgs, DeadLettersCommand, Format, ListArgs, PeekArgs, PurgeArgs, RedriveArgs,
    },
    lease::{LeaseArgs, RejectArgs, ReleaseArgs, RenewArgs},
    pull::PullArgs,
    push::{BodyArgs, PushArgs},
    request::{ReplyArgs, RequestArgs},
};
use crate::exit;

/// Send and receive messages through a Restante broker, from behind any firewall that allows outgoing HTTP.
#[derive(Debug, Parser)]
#[command(name = "restante", version, after_help = exit::HELP, max_term_width = 110)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Base URL of the broker
    #[arg(long, global = true, env = "RESTANTE_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// HTTP proxy for every request, or `none`; by default, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY apply
    #[arg(long, global = true, env = "RESTANTE_PROXY", value_name = "URL", hide_env_values = true)]
    pub(crate) proxy: Option<String>,
    /// PEM file of certificates to trust in addition to the system's; may be repeated, or joined by `:`
    #[arg(long, global = true, env = "RESTANTE_CA_CERT", value_name = "FILE", value_delimiter = ':')]
    pub(crate) ca_cert: Vec<PathBuf>,
    /// How long to retry while the broker is unreachable or busy, in seconds
    #[arg(long, global = true, env = "RESTANTE_DEADLINE", value_name = "SECONDS", default_value = "60",
          value_parser = seconds)]
    pub(crate) deadline: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a message, or each line of a file as a message, and print its Message-Id
    Push(PushArgs),
    /// Receive a message and write its body, unchanged, to standard output
    Pull(PullArgs),
    /// Settle a message: remove it from its channel
    Settle(LeaseArgs),
    /// Release a message: another receiver gets it after the channel's back-off
    Release(ReleaseArgs),
    /// Reject a message: make it a dead letter
    Reject(RejectArgs),
    /// Renew a lease, and print the granted seconds
    Renew(RenewArgs),
    /// Send a request, wait for its reply, and write the reply's body to standard output
    Request(RequestArgs),
    /// Reply to a request; in a command of `pull --exec`, its environment provides the options
    Reply(ReplyArgs),
    /// Show messages without leasing them
    Peek(PeekArgs),
    /// List, redrive or purge dead letters
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Show statistics of channels
    Channel(ChannelArgs),
    /// Print a completion script: `source <(restante completions bash)`
    Completions {
        /// Shell
        shell: Shell,
    },
}

impl BrokerArgs {
    /// Makes the client's options, and reads the certificates.
    pub(crate) fn options(&self) -> Result<ClientOptions, OptionsError> {
        self.options_for(&self.url)
    }

    /// Like [`options`](Self::options), for another port of the broker.
    pub(crate) fn options_for(&self, url: &str) -> Result<ClientOptions, OptionsError> {
        let mut options = ClientOptions::new(url);
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_argument_definitions_are_consistent() {
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
}
