//! MessageChannel: its finalizer, its entry in the address store of its broker, and its status.

pub mod apply;
mod blocked;
mod blocker;
pub mod build;
mod deletion;
pub mod dereference;
mod events;
mod final_status;
pub mod finalize;
pub mod status;
mod uninstalled;
mod unreadable;
pub mod validate;
mod without_broker;

use std::time::Duration;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, core::error_boundary::InvalidObject, runtime::controller::Action};
use restante_crds::{
    MessageChannel, MessageChannelStatus,
    condition::{self, kind},
};

pub(crate) use self::uninstalled::{OPERATOR_UNINSTALLED, orphaned, uninstalled};
use self::{dereference::BrokerState, validate::Verdict};
use crate::{
    context::Context,
    reconcile::kind::Kind,
    shared::finalizer,
    shared::{error::Error, stalled::Stalled},
};

/// The retry interval of a channel whose broker exists and is not served yet.
const STARTING_INTERVAL: Duration = Duration::from_secs(2);
/// The retry interval if the broker has not been served for long. If the broker is deleted then, nothing triggers its
/// channels.
const NOT_SERVED_INTERVAL: Duration = Duration::from_secs(15);

impl Kind for MessageChannel {
    const KIND: &'static str = "MessageChannel";
    const CONDITIONS: &'static [&'static str] = kind::OF_MESSAGE_CHANNEL;

    fn conditions(status: &mut MessageChannelStatus) -> &mut Vec<Condition> {
        &mut status.conditions
    }

    /// Has the channel programmed at its broker, and writes its status.
    async fn reconcile(&self, context: &Context) -> Result<Action, Error> {
        reconcile(self, context).await
    }

    async fn reconcile_unreadable(invalid: &InvalidObject, context: &Context) -> Result<Action, Error> {
        unreadable::reconcile(context, invalid).await
    }
}

async fn reconcile(channel: &MessageChannel, context: &Context) -> Result<Action, Error> {
    if !context.ownership.is_ours(channel) {
        return ignore_foreign(context, channel).await;
    }
    let facts = dereference::dereference(context, channel);
    if channel.metadata.deletion_timestamp.is_some() {
        return finalize::finalize(context, channel, &facts).await;
    }
    let verdict = validate::validate(channel, &facts);
    if apply::apply(context, channel, &verdict).await? == apply::Applied::Waiting {
        // The broker's task triggers a reconcile when it has an outcome. A broker without a task may be deleted before
        // it gets one, so its channels retry soon.
        let starting = matches!(facts.broker, BrokerState::Starting);
        return Ok(Action::requeue(if starting { STARTING_INTERVAL } else { context.steady() }));
    }
    let now = context.now();
    let Stalled { condition, after } = assess_stalled(context, channel, &verdict, now);
    let status = build::status(channel, &facts, &verdict, condition, now);
    status::write(context, channel, status, verdict.other()).await?;
    let next = match facts.broker {
        BrokerState::NotServed(_) => NOT_SERVED_INTERVAL,
        _ => context.steady(),
    };
    Ok(Action::requeue(after.map_or(next, |after| after.min(next))))
}

/// Ignores a channel of another operator, or of none. Our finalizer can be on it only if a person or a backup added it.
/// Then nothing depends on it, and a deletion of the channel removes it.
async fn ignore_foreign(context: &Context, channel: &MessageChannel) -> Result<Action, Error> {
    let metadata = &channel.metadata;
    if metadata.deletion_timestamp.is_some() && context.ownership.is_held(metadata) {
        remove_finalizer(context, metadata).await?;
    }
    context.forget(metadata.uid.as_deref().unwrap_or_default());
    Ok(Action::await_change())
}

/// Removes our finalizer, and forgets the channel.
async fn remove_finalizer(context: &Context, metadata: &ObjectMeta) -> Result<(), Error> {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<MessageChannel> = Api::namespaced(context.client.clone(), namespace);
    finalizer::remove(&api, metadata, context.ownership.namespace()).await?;
    context.forget(metadata.uid.as_deref().unwrap_or_default());
    Ok(())
}

fn assess_stalled(context: &Context, channel: &MessageChannel, verdict: &Verdict, now: Timestamp) -> Stalled {
    let uid = channel.metadata.uid.as_deref().unwrap_or_default();
    let Some((failure, remedy)) = verdict.failure() else {
        context.failures.clear(uid);
        return Stalled::NONE;
    };
    let conditions = channel.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let reported = condition::find(conditions, kind::ACCEPTED);
    context.failures.assess(&channel.metadata, reported, (&failure, remedy), now)
}
