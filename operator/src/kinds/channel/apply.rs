//! Adds the finalizer to a channel, and wakes its broker's task.

use kube::{Api, ResourceExt};
use restante_crds::MessageChannel;

use super::{
    dereference::{BrokerState, Facts},
    validate::{Programming, Verdict},
};
use crate::{
    context::Context,
    shared::{error::Error, finalizer},
};

/// The result of the apply step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The status can be written.
    StatusDue,
    /// Another step comes first, and triggers another reconcile.
    Waiting,
}

/// Adds the finalizer. Then wakes the broker's task, if it has not published an outcome for this generation.
pub async fn apply(
    context: &Context,
    channel: &MessageChannel,
    facts: &Facts,
    verdict: &Verdict,
) -> Result<Applied, Error> {
    let contends = match verdict {
        Verdict::Accepted { .. } => true,
        Verdict::Rejected { contends, .. } => *contends,
    };
    if !contends {
        // If the channel was programmed before, the task removes it from the set.
        wake(facts);
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
    match (verdict, &facts.broker) {
        (Verdict::Accepted { programming: Programming::Unknown, .. }, BrokerState::Served { .. }) => {
            wake(facts);
            Ok(Applied::Waiting)
        }
        // The reconcile of the broker triggers another one.
        (Verdict::Accepted { programming: Programming::Unknown, .. }, _) => Ok(Applied::Waiting),
        _ => Ok(Applied::StatusDue),
    }
}

fn wake(facts: &Facts) {
    if let Some(member) = facts.broker.member() {
        member.wake();
    }
}
