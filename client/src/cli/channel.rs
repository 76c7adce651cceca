//! `restante channel`: how many messages channels hold.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use restante_client::{ChannelStats, Client};
use tokio::io::stdout;

use super::{exit::Exit, failure::Failure, output};
use crate::config::{ChannelArgs, Output};

pub(crate) async fn run(client: &Client, args: ChannelArgs, deadline: Duration) -> Result<Exit, Failure> {
    let mut all = Vec::with_capacity(args.channels.len());
    for (namespace, name) in &args.channels {
        let stats = client.channel(namespace, name, deadline).await;
        all.push(
            stats.map_err(|source| Failure::Channel { channel: format!("{namespace}/{name}"), source })?,
        );
    }
    let text = match args.output {
        Output::Table => table(&all),
        Output::Json => {
            serde_json::to_string_pretty(&all).map_err(|error| Failure::Format(error.to_string()))? + "\n"
        }
        Output::Yaml => serde_saphyr::to_string(&all).map_err(|error| Failure::Format(error.to_string()))?,
    };
    output::write(&mut stdout(), text.as_bytes(), "standard output").await?;
    Ok(Exit::Ok)
}

/// Columns without lines and colours, as kubectl has them: for people, `cut` and `awk` alike.
fn table(all: &[ChannelStats]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAMESPACE", "NAME", "READY", "LEASED", "BYTES", "OLDEST", "WAITING"]);
    for stats in all {
        table.add_row([
            stats.namespace.clone(),
            stats.name.clone(),
            stats.ready.to_string(),
            stats.leased.to_string(),
            stats.bytes.to_string(),
            stats.oldest_message_age_seconds.map_or("-".into(), |age| format!("{age}s")),
            stats.waiting_receivers.to_string(),
        ]);
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if number >= 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_without_messages_has_no_oldest() {
        let json = r#"{"uid":"00000000-0000-0000-0000-000000000001","namespace":"demo","name":"orders","ready":12,
            "leased":0,"bytes":4096,"waitingReceivers":3}"#;
        let text = table(&[serde_json::from_str(json).unwrap()]);
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["demo", "orders", "12", "0", "4096", "-", "3"]);
        assert_eq!(text.lines().count(), 2);
    }
}
