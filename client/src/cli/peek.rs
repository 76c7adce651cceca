//! `restante peek`: shows messages without leasing them.

use std::time::Duration;

use restante_client::{Client, DeliveredItem, PeekOptions, PeekState, PeekedBatch};

use super::{
    failure::{Failure, say},
    format::{self, columns, or_dash},
};
use crate::config::{ListArgs, PeekArgs};
use crate::exit::Exit;

/// Maximum number of messages per request: the broker's limit of a batch.
const PAGE_MAX: u32 = 1000;

pub(crate) async fn run(client: &Client, args: PeekArgs, deadline: Duration) -> Result<Exit, Failure> {
    let found = list(client, &args.list, args.state.into(), deadline).await?;
    print(&found, &args.list, table).await
}

/// Reads up to `args.max` messages in this state, page by page.
pub(crate) async fn list(
    client: &Client,
    args: &ListArgs,
    state: PeekState,
    deadline: Duration,
) -> Result<PeekedBatch, Failure> {
    let mut found = PeekedBatch { messages: Vec::new(), next: args.after.clone() };
    loop {
        let left = args.max.saturating_sub(u32::try_from(found.messages.len()).unwrap_or(u32::MAX));
        let mut options = PeekOptions::default();
        options.state = state;
        options.after = found.next.take();
        options.messages_max = Some(left.min(PAGE_MAX));
        let page = client.peek(&args.address, &options, deadline).await;
        let page = page.map_err(|source| Failure::Peek { address: args.address.clone(), source })?;
        found.messages.extend(page.messages);
        found.next = page.next;
        if found.next.is_none() || found.messages.len() >= args.max as usize {
            return Ok(found);
        }
    }
}

/// Prints the messages and, in a table, the cursor of the next page.
pub(crate) async fn print(
    found: &PeekedBatch,
    args: &ListArgs,
    table: fn(&[DeliveredItem]) -> String,
) -> Result<Exit, Failure> {
    format::print(found, args.format.output, || table(&found.messages)).await?;
    if let (Some(next), true) = (&found.next, args.format.is_table()) {
        say(&format!("there are more messages; continue with --after {next}"));
    }
    Ok(Exit::Ok)
}

fn table(messages: &[DeliveredItem]) -> String {
    let headings = [
        ("ID", false),
        ("ENQUEUED", false),
        ("DELIVERIES", true),
        ("BYTES", true),
        ("GROUP", false),
        ("TYPE", false),
    ];
    let rows = messages.iter().map(|item| {
        [
            item.id.clone(),
            item.enqueued_at.clone(),
            item.deliveries.to_string(),
            item.content.0.len().to_string(),
            or_dash(item.group.as_deref()),
            or_dash(item.content_type.as_deref()),
        ]
    });
    columns(headings, rows)
}
