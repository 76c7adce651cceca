//! `restante channel`: statistics of channels.

use std::time::Duration;

use restante_client::{ChannelStats, Client};

use super::{
    failure::Failure,
    format::{self, columns},
};
use crate::config::ChannelArgs;
use crate::exit::Exit;

pub(crate) async fn run(client: &Client, args: ChannelArgs, deadline: Duration) -> Result<Exit, Failure> {
    let mut all = Vec::with_capacity(args.channels.len());
    for channel in &args.channels {
        all.push(stats(client, channel, deadline).await?);
    }
    format::print(&all, args.format.output, || table(&all)).await?;
    Ok(Exit::Ok)
}

/// Statistics of one channel.
pub(crate) async fn stats(
    client: &Client,
    (namespace, name): &(String, String),
    deadline: Duration,
) -> Result<ChannelStats, Failure> {
    let stats = client.channel(namespace, name, deadline).await;
    stats.map_err(|source| Failure::Channel { channel: format!("{namespace}/{name}"), source })
}

fn table(all: &[ChannelStats]) -> String {
    let headings = [
        ("NAMESPACE", false),
        ("NAME", false),
        ("READY", true),
        ("LEASED", true),
        ("DELAYED", true),
        ("DEAD", true),
        ("BYTES", true),
        ("OLDEST", true),
        ("WAITING", true),
    ];
    let rows = all.iter().map(|stats| {
        [
            stats.namespace.clone(),
            stats.name.clone(),
            stats.ready.to_string(),
            stats.leased.to_string(),
            stats.delayed.to_string(),
            stats.dead.to_string(),
            stats.bytes.to_string(),
            stats.oldest_message_age_seconds.map_or("-".into(), |age| format!("{age}s")),
            stats.waiting_receivers.to_string(),
        ]
    });
    columns(headings, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_a_dash_as_oldest_message_of_a_channel_without_messages() {
        let json = r#"{"uid":"00000000-0000-0000-0000-000000000001","namespace":"demo","name":"orders","ready":12,
            "leased":0,"delayed":1,"dead":2,"bytes":4096,"waitingReceivers":3}"#;
        let text = table(&[serde_json::from_str(json).unwrap()]);
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["demo", "orders", "12", "0", "1", "2", "4096", "-", "3"]);
        assert_eq!(text.lines().count(), 2);
    }
}
