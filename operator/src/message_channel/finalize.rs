//! A deleted MessageChannel: deleted at its broker, kept while it holds messages, let go where it never could end.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};
use restante_crds::MessageChannel;
use uuid::Uuid;

use super::{
    build,
    deletion::{Force, Kept, Plan, only_counts_differ, plan},
    dereference::Facts,
    status,
};
use crate::{context::Context, error::Error, finalizer, fleet::Deletion, jitter};

/// How often a channel that is kept is looked at: its last message may have gone.
const BLOCKED_INTERVAL: Duration = Duration::from_secs(5);
/// The least time between two writes of how many messages there still are.
const TELL_INTERVAL: Duration = Duration::from_secs(30);

/// Does what is next for a deleted channel.
pub async fn finalize(context: &Context, channel: &MessageChannel, facts: &Facts) -> Result<Action, Error> {
    match plan(channel, facts) {
        Plan::Nothing => Ok(Action::await_change()),
        Plan::Wait => Ok(Action::requeue(jitter::around(BLOCKED_INTERVAL))),
        Plan::LetGo(why) => {
            let note = format!(
                "let go without a broker: {why}. Messages that a broker still holds are orphans there"
            );
            release(context, channel, Some((EventType::Warning, "Orphaned", note))).await
        }
        Plan::Delete { uid, force } => delete(context, channel, facts, uid, force).await,
    }
}

async fn delete(
    context: &Context,
    channel: &MessageChannel,
    facts: &Facts,
    uid: Uuid,
    force: Option<Force>,
) -> Result<Action, Error> {
    let Some(member) = facts.broker.member() else {
        return Ok(Action::await_change());
    };
    let kept = match member.delete(uid, force.is_some()).await {
        Deletion::Deleted(messages) => {
            let event = force.filter(|_| messages > 0).map(|force| force.event(messages));
            return release(context, channel, event).await;
        }
        Deletion::NotEmpty(remaining) => Kept::not_empty(channel, remaining),
        Deletion::Unreachable(error) => {
            Kept { reason: "BrokerUnreachable", what: error, remedy: "tried again soon".into() }
        }
    };
    if is_terminating(context, channel).await? {
        member.let_go(uid).await;
        return orphan(context, channel, &kept.what).await;
    }
    let Kept { reason, what, remedy } = kept;
    let status = build::deletion_blocked(channel, facts, reason, format!("{what}: {remedy}"), context.now());
    let written = context.written.age(&channel.uid().unwrap_or_default());
    let lately = written.is_some_and(|age| age < TELL_INTERVAL);
    if !(lately && only_counts_differ(channel.status.as_ref(), &status)) {
        status::write(context, channel, status).await?;
    }
    Ok(Action::requeue(jitter::around(BLOCKED_INTERVAL)))
}

/// Lets a channel go whose namespace must not wait for it.
async fn orphan(context: &Context, channel: &MessageChannel, what: &str) -> Result<Action, Error> {
    let note = format!(
        "let go, as its namespace is terminating; {what}. What a broker holds of it stays there as an orphan"
    );
    // No event can be made in a namespace that is terminating: tell it where someone can read it.
    let broker = ObjectRef::new(&channel.spec.broker_ref.name).within(&context.args.namespace);
    if let Some(Ok(broker)) = context.brokers.get(&broker).as_deref().map(|guard| guard.0.as_ref()) {
        let name = format!("{}/{}", channel.namespace().unwrap_or_default(), channel.name_any());
        let note = format!("MessageChannel {name}: {note}");
        context.events.publish(broker, EventType::Warning, "ChannelOrphaned", note).await;
    }
    release(context, channel, Some((EventType::Warning, "Orphaned", note))).await
}

async fn is_terminating(context: &Context, channel: &MessageChannel) -> Result<bool, Error> {
    let name = channel.namespace().unwrap_or_default();
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let namespace = namespaces.get_opt(&name).await.map_err(Error::kube(format!("read Namespace {name}")))?;
    Ok(namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
}

async fn release(
    context: &Context,
    channel: &MessageChannel,
    event: Option<(EventType, &str, String)>,
) -> Result<Action, Error> {
    if let Some((type_, reason, note)) = event {
        tracing::info!(
            channel = channel.name_any(),
            namespace = channel.namespace().unwrap_or_default(),
            reason,
            "{note}"
        );
        context.events.publish(channel, type_, reason, note).await;
    }
    let api: Api<MessageChannel> =
        Api::namespaced(context.client.clone(), &channel.namespace().unwrap_or_default());
    finalizer::take_off(&api, &channel.metadata).await?;
    context.forget(&channel.uid().unwrap_or_default());
    Ok(Action::await_change())
}
