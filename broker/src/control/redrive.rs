//! Redriving and purging a channel's messages.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
};
use http::HeaderMap;
use restante_wire::{
    ProblemType,
    control::{Purge, Purged, PurgedState, Redrive},
    json,
};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    Channels, Control,
    answers::{Known, WorkRequest},
    errors,
    ndjson::LINE_BYTES_MAX,
    read,
};
use crate::{
    address_store::{AddressStore, ChannelEntry},
    channel,
    http::{HttpError, body::read_parts, header::idempotency_key},
    worker,
};

/// `POST /control/v1/channels/{uid}/redrive`
pub(super) async fn redrive<C: Channels>(
    State(control): State<Control<C>>,
    Path(uid): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<serde_json::Value>, HttpError> {
    let (entry, body) = (entry(&control, &uid)?, read(body).await?);
    let Redrive { to, limit } = parse(&body)?;
    if limit == Some(0) {
        let detail = "limit is 0 and would move nothing; give at least 1, or leave it out for all";
        return Err(HttpError::new(ProblemType::BodyMalformed, detail));
    }
    let to = to.map(|to| control.store.by_uid(to).ok_or_else(|| errors::unknown(to))).transpose()?;
    let store = control.store.clone();
    once(control, "redrive", entry, &headers, body, move |channels: C, entry| async move {
        let channel = entry.config.qualified_name();
        let redrive = worker::Redrive {
            dead_letter_channel: dead_letter_channel(&store, &entry),
            is_dead_letter_channel: is_dead_letter_channel(&store, &entry),
            entry,
            to,
            limit: limit.unwrap_or(u64::MAX),
        };
        let redriven = channels.redrive(redrive).await.map_err(errors::not_done)?;
        tracing::info!(channel, moved = redriven.moved, left = redriven.left, "redrove dead letters");
        Ok(redriven)
    })
    .await
}

/// `POST /control/v1/channels/{uid}/purge`
pub(super) async fn purge<C: Channels>(
    State(control): State<Control<C>>,
    Path(uid): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<serde_json::Value>, HttpError> {
    let (entry, body) = (entry(&control, &uid)?, read(body).await?);
    let Purge { states } = parse(&body)?;
    if states.is_empty() {
        let detail = "states is empty and would purge nothing; give some of ready, delayed, dead";
        return Err(HttpError::new(ProblemType::BodyMalformed, detail));
    }
    let states = states.into_iter().map(|state| match state {
        PurgedState::Ready => channel::State::Ready,
        PurgedState::Delayed => channel::State::Delayed,
        PurgedState::Dead => channel::State::Dead,
    });
    let states: Vec<_> = states.collect();
    once(control, "purge", entry, &headers, body, move |channels: C, entry| async move {
        let channel = entry.config.qualified_name();
        let purged = channels.purge(entry, states).await.map_err(errors::not_done)?;
        tracing::info!(channel, purged, "purged messages");
        Ok(Purged { purged })
    })
    .await
}

/// The dead-letter channel of a channel, if it exists.
fn dead_letter_channel(store: &AddressStore, entry: &ChannelEntry) -> Option<Arc<ChannelEntry>> {
    let name = entry.config.dead_letter.channel.as_deref()?;
    store.by_name(&entry.config.namespace, name).filter(|to| to.id != entry.id)
}

/// Whether this channel is the dead-letter channel of any channel.
fn is_dead_letter_channel(store: &AddressStore, entry: &ChannelEntry) -> bool {
    let (namespace, name) = (&entry.config.namespace, entry.config.name.as_str());
    store.channels().iter().any(|other| {
        other.config.namespace == *namespace && other.config.dead_letter.channel.as_deref() == Some(name)
    })
}

/// Does an operation once for each idempotency key, and completes it even if the request is dropped.
async fn once<C, T, W>(
    control: Control<C>,
    what: &'static str,
    entry: Arc<ChannelEntry>,
    headers: &HeaderMap,
    body: Bytes,
    work: impl FnOnce(C, Arc<ChannelEntry>) -> W + Send + 'static,
) -> Result<Json<serde_json::Value>, HttpError>
where
    C: Channels,
    T: Serialize,
    W: Future<Output = Result<T, HttpError>> + Send,
{
    let request = WorkRequest { what, channel: entry.config.uid, key: idempotency_key(headers)?, body };
    let answers = control.answers.clone();
    let done = control.tasks.spawn(async move {
        let mut answers = answers.lock().await;
        match answers.get(&request) {
            Known::Same(answer) => return Ok(Json(answer)),
            Known::Other => return Err(errors::other_work()),
            Known::Never => {}
        }
        let answer = work(control.channels, entry).await?;
        let answer = serde_json::to_value(answer).expect("numbers are JSON");
        answers.remember(request, answer.clone());
        Ok(Json(answer))
    });
    done.await.map_err(errors::panicked)?
}

fn entry<C>(control: &Control<C>, uid: &str) -> Result<Arc<ChannelEntry>, HttpError> {
    let uid: Uuid = read::uid(uid)?;
    control.store.by_uid(uid).ok_or_else(|| errors::unknown(uid))
}

async fn read(body: Body) -> Result<Bytes, HttpError> {
    let mut bytes = Vec::new();
    read_parts(body, |part| {
        bytes.extend_from_slice(part);
        if bytes.len() <= LINE_BYTES_MAX {
            return Ok(());
        }
        let detail = format!("the body exceeds the limit of {LINE_BYTES_MAX} bytes");
        Err(HttpError::new(ProblemType::BodyMalformed, detail))
    })
    .await?;
    Ok(bytes.into())
}

/// Parses a body. An empty body is an object with defaults.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpError> {
    let body = if json::without_mark(body).trim_ascii().is_empty() { b"{}" } else { body };
    json::read(body)
        .map_err(|fault| HttpError::new(ProblemType::BodyMalformed, format!("the body is invalid: {fault}")))
}
