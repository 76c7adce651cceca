//! The commands, one module each.

mod channel;
mod exec;
pub(crate) mod exit;
mod failure;
mod input;
mod lease;
mod output;
mod pull;
mod push;
mod signal;

use clap::CommandFactory;
use restante_client::Client;

pub(crate) use self::{
    exit::Exit,
    failure::{Failure, report},
};
use crate::config::{Command, Config};

/// Does what the arguments say.
pub(crate) async fn run(config: Config) -> Result<Exit, Failure> {
    let Config { broker, command } = config;
    let client = || Client::new(broker.options()?);
    match command {
        Command::Push(args) => push::run(&client()?, args, broker.deadline).await,
        Command::Pull(args) => pull::run(&client()?, args, broker.deadline).await,
        Command::Settle(args) => lease::settle(&client()?, args, broker.deadline).await,
        Command::Release(args) => lease::release(&client()?, args, broker.deadline).await,
        Command::Renew(args) => lease::renew(&client()?, args, broker.deadline).await,
        Command::Channel(args) => channel::run(&client()?, args, broker.deadline).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Config::command(), "restante", &mut script);
            output::write(&mut tokio::io::stdout(), &script, "standard output").await?;
            Ok(Exit::Ok)
        }
    }
}
