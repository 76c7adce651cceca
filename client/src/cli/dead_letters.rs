//! `restante dead-letters`: lists, redrives and purges dead letters.

use std::time::Duration;

use restante_client::{
    Client, Control, DeadLettersLeft, DeliveredItem, PeekState, Purge, PurgedState, Redrive, Redriven,
};

use super::{
    channel::stats,
    failure::{Failure, say},
    format::{self, columns, or_dash},
    peek,
};
use crate::config::{BrokerArgs, ControlArgs, DeadLettersCommand, ListArgs, PurgeArgs, RedriveArgs};
use crate::exit::Exit;

pub(crate) async fn run(
    client: &Client,
    broker: &BrokerArgs,
    command: DeadLettersCommand,
) -> Result<Exit, Failure> {
    match command {
        DeadLettersCommand::List(args) => list(client, args, broker.deadline).await,
        DeadLettersCommand::Redrive(args) => redrive(client, broker, args).await,
        DeadLettersCommand::Purge(args) => purge(client, broker, args).await,
    }
}

async fn list(client: &Client, args: ListArgs, deadline: Duration) -> Result<Exit, Failure> {
    let found = peek::list(client, &args, PeekState::DeadLetters, deadline).await?;
    peek::print(&found, &args, table).await
}

async fn redrive(client: &Client, broker: &BrokerArgs, args: RedriveArgs) -> Result<Exit, Failure> {
    let control = control(broker, &args.control).await?;
    let uid = stats(client, &args.channel, broker.deadline).await?.uid;
    let to = match &args.to {
        Some(to) => Some(stats(client, to, broker.deadline).await?.uid),
        None => None,
    };
    let redriven = control.redrive(uid, &Redrive { to, limit: args.limit }, broker.deadline).await;
    let redriven = redriven.map_err(Failure::Control)?;
    let row = [redriven.moved.to_string(), redriven.left.to_string()];
    let table = || columns([("MOVED", true), ("NOT MOVED", true)], [row].into_iter());
    format::print(&redriven, args.format.output, table).await?;
    for line in notes(&redriven, &args.channel) {
        say(&line);
    }
    let all_stay = redriven.moved == 0 && redriven.left > 0;
    Ok(if all_stay { Exit::Refused } else { Exit::Ok })
}

/// Reports dead letters that were not moved, or that there are none.
fn notes(redriven: &Redriven, (namespace, name): &(String, String)) -> Vec<String> {
    if redriven.moved == 0 && redriven.left == 0 {
        return vec![format!(
            "no dead letters found: none of {namespace}/{name} in any channel, and none of other channels in it"
        )];
    }
    let left = redriven.left_in.iter();
    left.map(|DeadLettersLeft { channel, messages, because }| {
        format!("{messages} left in {channel}: {}", because.as_str())
    })
    .collect()
}

async fn purge(client: &Client, broker: &BrokerArgs, args: PurgeArgs) -> Result<Exit, Failure> {
    let control = control(broker, &args.control).await?;
    let uid = stats(client, &args.channel, broker.deadline).await?.uid;
    let dead = Purge { states: vec![PurgedState::Dead] };
    let purged = control.purge(uid, &dead, broker.deadline).await.map_err(Failure::Control)?;
    let table = || columns([("PURGED", true)], [[purged.purged.to_string()]].into_iter());
    format::print(&purged, args.format.output, table).await?;
    Ok(Exit::Ok)
}

/// Reads the control token and makes a client of the control API.
async fn control(broker: &BrokerArgs, args: &ControlArgs) -> Result<Control, Failure> {
    let path = &args.control_token_file;
    let token = tokio::fs::read_to_string(path).await;
    let token = token.map_err(|source| Failure::Read { path: path.clone(), source })?;
    Ok(Control::new(broker.options_for(&args.control_url)?, &token)?)
}

fn table(messages: &[DeliveredItem]) -> String {
    let headings = [
        ("ID", false),
        ("SINCE", false),
        ("CAUSE", false),
        ("FROM", false),
        ("IN", false),
        ("DELIVERIES", true),
        ("BYTES", true),
        ("REASON", false),
    ];
    let rows = messages.iter().map(|item| {
        let note = item.dead_letter.as_ref();
        [
            or_dash(Some(item.id.as_str()).filter(|id| !id.is_empty())),
            or_dash(note.map(|note| note.since.as_str())),
            or_dash(note.map(|note| note.cause.as_str())),
            or_dash(note.and_then(|note| note.channel.as_deref())),
            or_dash(note.and_then(|note| note.held_in.as_deref())),
            item.deliveries.to_string(),
            or_dash(item.unreadable.is_none().then(|| item.content.0.len().to_string()).as_deref()),
            or_dash(note.and_then(|note| note.reason.as_deref()).or(item.unreadable.as_deref())),
        ]
    });
    columns(headings, rows)
}
