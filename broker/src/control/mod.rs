//! The control API, with which an operator programs the address store and reads the channels' counts.
//!
//! It has its own port and its own credential. Changes are applied one after another, and each is completed even if its
//! client has hung up: a lost connection never leaves a channel closed and not deleted.

mod answers;
mod auth;
mod backup;
mod change;
mod channels;
mod errors;
mod ndjson;
mod plain;
mod read;
mod redrive;
mod token;

#[cfg(test)]
mod tests;

use std::{future::Future, path::Path, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post, put},
};
use http::{Method, Uri};
use restante_wire::{ProblemType, path};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::task::TaskTracker;

use answers::Answers;
pub use channels::Channels;
pub(crate) use token::read as read_token;
pub use token::{Token, TokenError};

use crate::{
    address_store::{AddressStore, ApplyError},
    http::{error::HttpError, pages},
};

/// The maximum number of concurrent syncs: an operator sends one, and its successor another.
pub(crate) const SYNCS_AT_ONCE: usize = 3;

/// The shared state of the handlers.
struct Control<C> {
    store: AddressStore,
    channels: C,
    /// Serializes changes.
    turn: Arc<Mutex<()>>,
    /// Limits concurrent syncs: each may take as much memory as the address store itself.
    sync_turns: Arc<Semaphore>,
    /// The answers to redrives and purges. The lock also serializes them.
    answers: Arc<Mutex<Answers>>,
    /// Whether the channels come from manifest files, so that this API cannot change them.
    managed_by_manifests: bool,
    folder: Arc<Path>,
    /// Limits backups to one at a time.
    backup_turn: Arc<Mutex<()>>,
    tasks: TaskTracker,
}

impl<C: Clone> Clone for Control<C> {
    fn clone(&self) -> Self {
        let Self {
            store,
            channels,
            turn,
            sync_turns,
            answers,
            managed_by_manifests,
            folder,
            backup_turn,
            tasks,
        } = self;
        Self {
            store: store.clone(),
            channels: channels.clone(),
            turn: turn.clone(),
            sync_turns: sync_turns.clone(),
            answers: answers.clone(),
            managed_by_manifests: *managed_by_manifests,
            folder: folder.clone(),
            backup_turn: backup_turn.clone(),
            tasks: tasks.clone(),
        }
    }
}

/// The routes of the control port, which all need the token. With `managed_by_manifests` the set of channels is
/// read-only. `folder` is the data folder, for backups.
pub fn router<C: Channels>(
    store: AddressStore,
    channels: C,
    token: Token,
    managed_by_manifests: bool,
    folder: &Path,
) -> Router {
    let control = Control {
        store,
        channels,
        turn: Arc::default(),
        sync_turns: Arc::new(Semaphore::new(SYNCS_AT_ONCE)),
        answers: Arc::default(),
        managed_by_manifests,
        folder: folder.into(),
        backup_turn: Arc::default(),
        tasks: TaskTracker::new(),
    };
    Router::new()
        .route(path::CONTROL_REVISION, get(read::revision))
        .route(path::CONTROL_STATS, get(read::all_stats))
        .route(path::CONTROL_SYNC, post(change::sync))
        .route(path::CONTROL_BACKUP, post(backup::backup))
        .route(&format!("{}{{uid}}", path::CONTROL_CHANNELS), put(change::put).delete(change::delete))
        .route(&format!("{}{{uid}}/stats", path::CONTROL_CHANNELS), get(read::stats))
        .route(&format!("{}{{uid}}/redrive", path::CONTROL_CHANNELS), post(redrive::redrive))
        .route(&format!("{}{{uid}}/purge", path::CONTROL_CHANNELS), post(redrive::purge))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(control)
        .layer(middleware::from_fn(plain::require))
        // The outermost layer, so that a caller without the token learns nothing, not even which paths exist.
        .layer(middleware::from_fn_with_state(token, auth::require))
        // The pages of problem types are outside of it, because the header Link of a 401 leads to them.
        .merge(Router::new().route(&format!("{}{{name}}", path::ERRORS), get(pages::page)))
}

impl<C: Channels> Control<C> {
    /// Waits for the turn to change something, and completes the change even if the request is dropped.
    async fn in_turn<T, F>(&self, change: impl FnOnce(Self) -> F) -> Result<T, HttpError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HttpError>> + Send + 'static,
    {
        if self.managed_by_manifests {
            return Err(errors::managed_by_manifests());
        }
        let turn = self.turn.clone();
        let change = change(self.clone());
        let carried_through = self.tasks.spawn(async move {
            let _turn = turn.lock().await;
            change.await
        });
        carried_through.await.map_err(errors::panicked)?
    }

    /// Runs a blocking operation of the address store on another thread.
    async fn on_disk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&AddressStore) -> Result<T, ApplyError> + Send + 'static,
    ) -> Result<T, HttpError> {
        let store = self.store.clone();
        let done = self.tasks.spawn_blocking(move || act(&store)).await;
        done.map_err(errors::panicked)?.map_err(errors::refused)
    }
}

async fn unknown_route(uri: Uri) -> HttpError {
    HttpError::new(
        ProblemType::RouteUnknown,
        format!(
            "the path {} is unknown; see docs/http.md#control-api for the paths of the control API",
            uri.path()
        ),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> HttpError {
    HttpError::new(
        ProblemType::MethodNotAllowed,
        format!(
            "the method {method} is not allowed on {}; use a method that the header Allow lists",
            uri.path()
        ),
    )
}
