//! Changes of the set of channels: a sync of the whole set, a put of one channel, a deletion.

use axum::{
    Json,
    body::Body,
    extract::{Path, RawQuery, State},
};
use restante_wire::{
    ProblemType,
    control::{ChannelDeleted, StoreState},
};

use super::{Channels, Control, errors, ndjson, read};
use crate::{
    address_store::{AddressStore, ApplyError, Changes},
    http::{HttpError, query::Query},
};

/// `POST /control/v1/sync`
pub(super) async fn sync<C: Channels>(
    State(control): State<Control<C>>,
    body: Body,
) -> Result<Json<StoreState>, HttpError> {
    // Until it is applied, a set takes as much memory as the address store itself. A set that never arrives blocks only
    // one turn.
    let _turn = control.sync_turns.clone().try_acquire_owned().map_err(|_| errors::too_many_syncs())?;
    let channels = ndjson::channels(body).await?;
    apply(control, move |store| store.sync(channels)).await
}

/// `PUT /control/v1/channels/{uid}`
pub(super) async fn put<C: Channels>(
    State(control): State<Control<C>>,
    Path(uid): Path<String>,
    body: Body,
) -> Result<Json<StoreState>, HttpError> {
    let uid = read::uid(&uid)?;
    let channel = ndjson::channel(body).await?;
    if channel.uid != uid {
        return Err(HttpError::new(
            ProblemType::BodyMalformed,
            format!(
                "the path names the channel {uid}, but the body names {}; send the same UID in both",
                channel.uid
            ),
        ));
    }
    apply(control, move |store| store.put(channel)).await
}

/// `DELETE /control/v1/channels/{uid}`
///
/// The log records the deletion before the address store removes the channel: messages without a channel and without a
/// recorded deletion must not be dropped. If the address store fails to remove the channel, it stays closed until the
/// deletion is repeated.
pub(super) async fn delete<C: Channels>(
    State(control): State<Control<C>>,
    Path(uid): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ChannelDeleted>, HttpError> {
    let (uid, force) = (read::uid(&uid)?, Query::parse(query.as_deref(), &["force"])?.flag("force")?);
    let deleted = control.in_turn(|control| async move {
        let entry = control.store.by_uid(uid);
        let mut messages = 0;
        if let Some(entry) = entry {
            let in_set = control.store.by_name(&entry.config.namespace, &entry.config.name);
            let is_orphan = in_set.is_none_or(|in_set| in_set.config.uid != uid);
            let closed = control.channels.close(entry, force).await.map_err(errors::not_done)?;
            messages = closed.map_err(|messages| errors::not_empty(uid, messages, is_orphan))?;
        }
        if let Some(entry) = control.on_disk(move |store| store.remove(uid)).await? {
            control.channels.removed(entry.id).await;
            tracing::info!(channel = entry.config.qualified_name(), %uid, messages, "deleted a channel");
        }
        Ok(ChannelDeleted { messages, store: control.store.state() })
    });
    deleted.await.map(Json)
}

/// Applies a change of the set, and notifies the channels.
async fn apply<C: Channels>(
    control: Control<C>,
    change: impl FnOnce(&AddressStore) -> Result<Changes, ApplyError> + Send + 'static,
) -> Result<Json<StoreState>, HttpError> {
    let state = control.in_turn(|control| async move {
        let Changes { changed, withdrawn } = control.on_disk(change).await?;
        if !(changed.is_empty() && withdrawn.is_empty()) {
            tracing::info!(
                changed = changed.len(),
                withdrawn = withdrawn.len(),
                "the set of channels changed"
            );
        }
        if !changed.is_empty() {
            control.channels.changed(changed).await;
        }
        if !withdrawn.is_empty() {
            control.channels.withdrawn(withdrawn).await;
        }
        Ok(control.store.state())
    });
    state.await.map(Json)
}
