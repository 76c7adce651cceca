//! MessageBroker: its ServiceAccount, credential, Services and StatefulSet.

pub mod apply;
pub mod build;
pub mod dereference;
pub mod status;
pub mod validate;

use std::sync::Arc;

use kube::{ResourceExt, core::DeserializeGuard, runtime::controller::Action};
use restante_crds::{MessageBroker, condition::kind};

use crate::{
    context::Context,
    error::Error,
    fleet::BrokerFacts,
    unreadable::{self, Unreadable},
};

/// The kind, in metrics and log lines.
pub const KIND: &str = "MessageBroker";

/// Brings the children of a MessageBroker, and then its status, in line with its spec.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<MessageBroker>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let action = context.measured(KIND, inner(&guard, &context)).await?;
    context.backoffs.clear(&guard.uid().unwrap_or_default());
    Ok(action)
}

async fn inner(guard: &DeserializeGuard<MessageBroker>, context: &Context) -> Result<Action, Error> {
    let broker = match &guard.0 {
        Ok(broker) => broker,
        Err(invalid) => {
            let own = &[kind::READY, kind::STALLED];
            let unreadable = Unreadable { invalid, own, fails: &[kind::READY] };
            unreadable::tell::<MessageBroker>(context, unreadable, |_| true).await?;
            return Ok(Action::await_change());
        }
    };
    if context.written.is_stale(&broker.metadata) {
        return Ok(Action::await_change());
    }
    if broker.metadata.deletion_timestamp.is_some() {
        // Its children go by their owner references, and the channels are told by the watch on brokers.
        return Ok(Action::await_change());
    }
    let valid = match validate::validate(broker, &context.args) {
        Ok(valid) => valid,
        Err(rejection) => {
            status::write(context, broker, status::rejected(broker, &rejection, context.now())).await?;
            return Ok(Action::await_change());
        }
    };
    let credential = dereference::credential(context, &valid).await?;
    let children = build::children(&valid, &credential);
    let workload = apply::apply(context, &children).await?;
    let facts = BrokerFacts {
        uid: broker.uid().unwrap_or_default(),
        token: credential.0.clone(),
        url: valid.url.clone(),
    };
    let member = context.fleet.serve(&valid.name, facts);
    let status = status::observed(broker, &valid, &workload, &member.view(), context.now());
    status::write(context, broker, status).await?;
    Ok(Action::requeue(context.steady()))
}
