//! Inspects a channel without changing it.

use anyhow::{Context, Result, ensure};
use restante_tests::ledger::account::{Remaining, State, Totals};
use restante_wire::batch::PeekedBatch;

use super::sender::CONTENT_BYTES_MAX;
use crate::{
    api::{Api, id},
    broker::Broker,
    content,
};

const STATES: [(&str, State); 4] =
    [("ready", State::Ready), ("leased", State::Leased), ("delayed", State::Delayed), ("dead", State::Dead)];

/// Peeks at every message of a channel.
pub(super) async fn peek_all(api: &Api, name: &str) -> Result<Vec<Remaining>> {
    let mut left = Vec::new();
    for (word, state) in STATES {
        let mut after = String::new();
        loop {
            let path = format!("/v1/peek/acme/{name}?state={word}&max=50{after}");
            let answer = api.until_answered(|| api.get(&path)).await?;
            ensure!(answer.status == 200, "a peek was answered {}", answer.text());
            let page: PeekedBatch = answer.json()?;
            for item in &page.messages {
                let key =
                    content::key_of(&item.content.0, CONTENT_BYTES_MAX).context("an unexpected content")?;
                let of = |name: &str, value: &str| 4 + name.len() + value.len();
                let headers = item
                    .headers
                    .iter()
                    .flat_map(|(name, values)| values.iter().map(move |value| of(name, value)));
                let bytes = (item.content.0.len() + headers.sum::<usize>()) as u64;
                left.push(Remaining { key, id: id(&item.id)?, state, bytes });
            }
            let Some(next) = page.next else { break };
            after = format!("&after={next}");
        }
    }
    Ok(left)
}

/// The counts of `GET /v1/channels`.
pub(super) async fn counts(broker: &Broker, name: &str) -> Result<Totals> {
    let stats = broker.stats(name).await?;
    Ok(Totals {
        ready: stats.ready,
        leased: stats.leased,
        delayed: stats.delayed,
        dead: stats.dead,
        bytes: stats.bytes,
    })
}
