//! Adds the finalizer to a channel, before its broker's task programs it.

use kube::{Api, ResourceExt};
use restante_crds::MessageChannel;

use super::validate::{Programming, Verdict};
use crate::{context::Context, shared::error::Error, shared::finalizer};

/// The result of the apply step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The status can be written.
    StatusDue,
    /// Another step comes first, and triggers another reconcile.
    Waiting,
}

/// Adds the finalizer. The broker's task follows the watch, and needs no call.
pub async fn apply(context: &Context, channel: &MessageChannel, verdict: &Verdict) -> Result<Applied, Error> {
    let contends = match verdict {
        Verdict::Accepted { .. } => true,
        Verdict::Rejected { contends, .. } => *contends,
    };
    if !contends {
        return Ok(Applied::StatusDue);
    }
    // The finalizer comes before programming. Otherwise a channel deleted in between would leave its messages at the
    // broker.
    if !context.ownership.is_held(&channel.metadata) {
        let namespace = channel.namespace().unwrap_or_default();
        let api: Api<MessageChannel> = Api::namespaced(context.client.clone(), &namespace);
        // Recorded first, because the broker's task may see the finalizer before this reconcile continues.
        context.fleet.unsent().begin(channel);
        let metadata = finalizer::add(&api, &channel.metadata, context.ownership.namespace()).await?;
        context.last_writes.record(&metadata);
        return Ok(Applied::Waiting);
    }
    match verdict {
        // The broker's task has not published an outcome for this generation, and triggers another reconcile when it
        // does. If there is no task yet, the reconcile of the broker starts one.
        Verdict::Accepted { programming: Programming::Unknown, .. } => Ok(Applied::Waiting),
        _ => Ok(Applied::StatusDue),
    }
}
