//! The commands, one module each.

mod channel;
mod dead_letters;
mod exec;
mod failure;
mod format;
mod input;
mod lease;
mod output;
mod peek;
mod pull;
mod push;
mod request;
mod signal;

use clap::CommandFactory;
use restante_client::Client;

pub(crate) use self::failure::{Failure, report};
use crate::config::{Command, Config};
use crate::exit::Exit;

/// Runs the command of the arguments.
pub(crate) async fn run(config: Config) -> Result<Exit, Failure> {
    let Config { broker, command } = config;
    let client = || Client::new(broker.options()?);
    match command {
        Command::Push(args) => push::run(&client()?, args, broker.deadline).await,
        Command::Pull(args) => pull::run(&client()?, args, broker.deadline).await,
        Command::Settle(args) => lease::settle(&client()?, args, broker.deadline).await,
        Command::Release(args) => lease::release(&client()?, args, broker.deadline).await,
        Command::Reject(args) => lease::reject(&client()?, args, broker.deadline).await,
        Command::Renew(args) => lease::renew(&client()?, args, broker.deadline).await,
        Command::Request(args) => request::request(&client()?, args).await,
        Command::Reply(args) => request::reply(&client()?, args, broker.deadline).await,
        Command::Peek(args) => peek::run(&client()?, args, broker.deadline).await,
        Command::DeadLetters(command) => dead_letters::run(&client()?, &broker, command).await,
        Command::Channel(args) => channel::run(&client()?, args, broker.deadline).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Config::command(), "restante", &mut script);
            output::write(&mut tokio::io::stdout(), &script, "standard output").await?;
            Ok(Exit::Ok)
        }
    }
}
