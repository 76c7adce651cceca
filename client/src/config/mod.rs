//! Arguments and environment of the command `restante`: the only room that reads either.

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
        ChannelArgs, ControlArgs, DeadLettersCommand, ListArgs, Output, PeekArgs, PurgeArgs, RedriveArgs,
    },
    lease::{LeaseArgs, RejectArgs, ReleaseArgs, RenewArgs},
    pull::PullArgs,
    push::{BodyArgs, PushArgs},
    request::{ReplyArgs, RequestArgs},
};
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
    /// Give the message back: another receiver gets it, after the channel's back-off
    Release(ReleaseArgs),
    /// Give the message up: to the dead letters
    Reject(RejectArgs),
    /// Keep the message for longer, and print for how many seconds
    Renew(RenewArgs),
    /// Send a message that awaits a reply, and write the reply's content to standard output
    Request(RequestArgs),
    /// Answer a request: in `pull --exec`, whose environment says where to
    Reply(ReplyArgs),
    /// Look at messages without taking them
    Peek(PeekArgs),
    /// Look at what channels gave up, make it ready again, or take it away
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Show how many messages channels hold
    Channel(ChannelArgs),
    /// Print a completion script: `source <(restante completions bash)`
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl BrokerArgs {
    /// The client's options, certificates read.
    pub(crate) fn options(&self) -> Result<ClientOptions, OptionsError> {
        self.options_for(&self.url)
    }

    /// The same for another port of the broker.
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
}
