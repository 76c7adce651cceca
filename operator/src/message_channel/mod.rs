//! MessageChannel: its finalizer, its place in the address store of its broker, its status.

pub mod apply;
pub mod build;
mod deletion;
pub mod dereference;
pub mod finalize;
pub mod status;
pub mod validate;

use std::{sync::Arc, time::Duration};

use kube::{Api, ResourceExt, core::DeserializeGuard, runtime::controller::Action};
use restante_crds::{MessageChannel, condition::kind};

use crate::{context::Context, error::Error, finalizer, unreadable};

/// The kind, in metrics and log lines.
pub const KIND: &str = "MessageChannel";

/// When a channel is looked at again whose broker is there and not served yet.
const STARTING_INTERVAL: Duration = Duration::from_secs(2);

/// Brings a channel's place at its broker, and then its status, in line with its spec.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<MessageChannel>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let action = context.measured(KIND, inner(&guard, &context)).await?;
    context.backoffs.clear(&guard.uid().unwrap_or_default());
    Ok(action)
}

async fn inner(guard: &DeserializeGuard<MessageChannel>, context: &Context) -> Result<Action, Error> {
    let channel = match &guard.0 {
        Ok(channel) => channel,
        Err(invalid) if invalid.metadata.deletion_timestamp.is_some() => {
            // What its broker holds becomes an orphan; an object that no one can read must not hang for ever.
            if finalizer::is_on(&invalid.metadata) {
                let namespace = invalid.metadata.namespace.clone().unwrap_or_default();
                let api: Api<MessageChannel> = Api::namespaced(context.client.clone(), &namespace);
                finalizer::take_off(&api, &invalid.metadata).await?;
            }
            return Ok(Action::await_change());
        }
        Err(invalid) => {
            unreadable::tell::<MessageChannel>(context, invalid, kind::ACCEPTED).await?;
            return Ok(Action::await_change());
        }
    };
    if context.written.is_stale(&channel.metadata) {
        return Ok(Action::await_change());
    }
    let facts = dereference::dereference(context, channel);
    if channel.metadata.deletion_timestamp.is_some() {
        return finalize::finalize(context, channel, &facts).await;
    }
    let verdict = validate::validate(channel, &facts);
    if apply::apply(context, channel, &facts, &verdict).await? == apply::Applied::Waiting {
        // The broker's task asks for a reconcile when it knows what became of the channel. A broker that has no task yet
        // may never get one, if it goes before it comes.
        let starting = matches!(facts.broker, dereference::BrokerState::Starting);
        return Ok(Action::requeue(if starting { STARTING_INTERVAL } else { context.steady() }));
    }
    let status = build::status(channel, &facts, &verdict, context.now());
    status::write(context, channel, status).await?;
    Ok(Action::requeue(context.steady()))
}
