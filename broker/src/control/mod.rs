//! The control API: by it an operator fills the address store and asks what the channels hold.
//!
//! It has a port and a credential of its own. Changes are taken one after another, and each is carried through even if
//! whoever asked for it has hung up: a channel is never left closed and not deleted because of a lost connection.

mod answers;
mod auth;
mod backup;
mod change;
mod channels;
mod errors;
mod look;
mod ndjson;
mod plain;
mod redrive;
mod token;

#[cfg(test)]
mod tests;

use std::{future::Future, path::Path, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post, put},
};
use http::Uri;
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

/// Whole sets that are sent at a time: an operator sends one, and its successor another.
pub(crate) const SYNCS_AT_ONCE: usize = 3;

/// What the handlers share.
struct Control<C> {
    store: AddressStore,
    channels: C,
    /// Whose turn it is to change something.
    turn: Arc<Mutex<()>>,
    /// Turns at sending a whole set: each may take as much memory as the store itself.
    sync_turns: Arc<Semaphore>,
    /// Works on messages that were done, one at a time.
    answers: Arc<Mutex<Answers>>,
    /// The set is that of manifests, and cannot be changed from here.
    managed_by_manifests: bool,
    /// The data folder.
    folder: Arc<Path>,
    /// Whose turn it is to take a backup.
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

/// The routes of the control port, all of them for whoever has the token. Where manifests rule, the set is only looked at.
/// `folder` is the data folder, of which backups are taken.
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
        .route(path::CONTROL_REVISION, get(look::revision))
        .route(path::CONTROL_STATS, get(look::all_stats))
        .route(path::CONTROL_SYNC, post(change::sync))
        .route(path::CONTROL_BACKUP, post(backup::backup))
        .route(&format!("{}{{uid}}", path::CONTROL_CHANNELS), put(change::put).delete(change::delete))
        .route(&format!("{}{{uid}}/stats", path::CONTROL_CHANNELS), get(look::stats))
        .route(&format!("{}{{uid}}/redrive", path::CONTROL_CHANNELS), post(redrive::redrive))
        .route(&format!("{}{{uid}}/purge", path::CONTROL_CHANNELS), post(redrive::purge))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(control)
        .layer(middleware::from_fn(plain::require))
        // Outermost, so that whoever has no token learns nothing, not even which paths there are.
        .layer(middleware::from_fn_with_state(token, auth::require))
        // But for what its refusals lead to.
        .merge(Router::new().route(&format!("{}{{name}}", path::ERRORS), get(pages::page)))
}

impl<C: Channels> Control<C> {
    /// Takes a turn at changing, and carries the change through whether or not the request lives on.
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

    /// Does something with the store that may wait for the disk, on a thread where nobody else waits.
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
            "the path {} is unknown; the control API has {}, {}, {} and {}, and for each channel {}{{uid}} with /stats, /redrive \
             and /purge",
            uri.path(),
            path::CONTROL_REVISION,
            path::CONTROL_STATS,
            path::CONTROL_SYNC,
            path::CONTROL_BACKUP,
            path::CONTROL_CHANNELS
        ),
    )
}

async fn wrong_method(uri: Uri) -> HttpError {
    HttpError::new(
        ProblemType::MethodNotAllowed,
        format!("the method is not allowed on {}; use one of the header Allow", uri.path()),
    )
}
