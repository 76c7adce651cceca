//! Puts the finalizer on a channel and its broker's task to work.

use kube::{Api, ResourceExt};
use restante_crds::MessageChannel;

use super::{
    dereference::{BrokerState, Facts},
    validate::{Programming, Verdict},
};
use crate::{context::Context, error::Error, finalizer};

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// There is something to say in the status.
    StatusDue,
    /// Someone else has to act first, and will ask for another reconcile.
    Waiting,
}

/// Puts the finalizer on, then asks the broker's task to look at the channel if it has not seen this generation.
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
        // If it was programmed once, the set is sent without it.
        wake(facts);
        return Ok(Applied::StatusDue);
    }
    // Before anything is at a broker: a channel that is deleted in between would leave its messages there.
    if !context.ownership.is_held(&channel.metadata) {
        let namespace = channel.namespace().unwrap_or_default();
        let api: Api<MessageChannel> = Api::namespaced(context.client.clone(), &namespace);
        // First: the broker's task may see the finalizer before we do.
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
        // The reconcile of the broker asks for another one.
        (Verdict::Accepted { programming: Programming::Unknown, .. }, _) => Ok(Applied::Waiting),
        _ => Ok(Applied::StatusDue),
    }
}

fn wake(facts: &Facts) {
    if let Some(member) = facts.broker.member() {
        member.wake();
    }
}
