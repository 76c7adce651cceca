//! Reading: the state of the address store, and the counts of channels.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http::header;
use restante_wire::{ChannelStats, ProblemType, control::StoreState};
use uuid::Uuid;

use super::{Channels, Control, errors};
use crate::{address_store::ChannelEntry, http::error::HttpError, shard::ShardGone};

/// The number of channels whose counts are requested at a time: few enough not to delay their worker, and many enough
/// that the cost per request does not matter.
const STATS_PER_TURN: usize = 1000;

/// `GET /control/v1/revision`
pub(super) async fn revision<C: Channels>(State(control): State<Control<C>>) -> Json<StoreState> {
    Json(control.store.state())
}

/// `GET /control/v1/channels/{uid}/stats`, also for an orphan.
pub(super) async fn stats<C: Channels>(
    State(control): State<Control<C>>,
    Path(text): Path<String>,
) -> Result<Json<ChannelStats>, HttpError> {
    let uid = uid(&text)?;
    let entry = control.store.by_uid(uid).ok_or_else(|| errors::unknown(uid))?;
    let stats = control.channels.stats(vec![entry]).await.map_err(errors::shutting_down)?;
    stats.into_iter().next().map(Json).ok_or_else(|| errors::unknown(uid))
}

/// `GET /control/v1/stats`: every channel of the set, as NDJSON.
pub(super) async fn all_stats<C: Channels>(State(control): State<Control<C>>) -> Result<Response, HttpError> {
    let mut left = control.store.channels();
    // The store returns channels in no order. Sorted by id, two answers can be compared.
    left.sort_unstable_by_key(|entry| entry.id);
    let mut left = left.into_iter();
    // The first part is requested before the answer begins, so that a draining broker can answer with an error.
    let first = lines(&control.channels, left.by_ref().take(STATS_PER_TURN).collect()).await;
    let first = first.map_err(errors::shutting_down)?;
    let rest = stream::try_unfold((control.channels, left), |(channels, mut left)| async move {
        let part: Vec<_> = left.by_ref().take(STATS_PER_TURN).collect();
        if part.is_empty() {
            return Ok::<_, ShardGone>(None);
        }
        let text = lines(&channels, part).await?;
        Ok(Some((text, (channels, left))))
    });
    let body = stream::StreamExt::chain(stream::iter([Ok(first)]), rest);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response())
}

async fn lines<C: Channels>(channels: &C, entries: Vec<Arc<ChannelEntry>>) -> Result<Bytes, ShardGone> {
    let mut text = Vec::new();
    for stats in channels.stats(entries).await? {
        serde_json::to_writer(&mut text, &stats).expect("a channel's counts have only JSON's own types");
        text.push(b'\n');
    }
    Ok(text.into())
}

/// The UID in a path.
pub(super) fn uid(text: &str) -> Result<Uuid, HttpError> {
    text.parse()
        .map_err(|_| HttpError::new(ProblemType::ParameterMalformed, format!("the UID {text:?} is invalid")))
}
