//! A deleted MessageChannel: deleted at its broker, kept while it holds messages, let go where it never could end.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};
use restante_crds::{FORCE_DELETE, MessageChannel, condition::kind};
use uuid::Uuid;

use super::{
    blocked::deletion_blocked,
    deletion::{Force, Plan, another_store, is_patience_over, only_counts_differ, plan},
    dereference::Facts,
    gone::{End, gone},
    kept::Kept,
    let_go, status,
    without_broker::{Fate, is_its_store, judge},
};
use crate::{
    conditions::is_true, context::Context, error::Error, fleet::Deletion, jitter,
    message_broker::dereference::claim_of,
};

/// How often a channel that is kept is looked at: its last message may have gone.
const BLOCKED_INTERVAL: Duration = Duration::from_secs(5);
/// The same where only a claim is left, which seldom goes. A MessageBroker that comes back has its channels looked at at once.
const CLAIM_INTERVAL: Duration = Duration::from_secs(15);
/// The least time between two writes of how many messages there still are.
const TELL_INTERVAL: Duration = Duration::from_secs(30);

/// What is told of a channel that goes.
type Last = (EventType, &'static str, String);

/// Does what is next for a deleted channel.
pub async fn finalize(context: &Context, channel: &MessageChannel, facts: &Facts) -> Result<Action, Error> {
    let is_held = context.ownership.is_held(&channel.metadata);
    if is_held && was_never_sent(context, channel, facts).await {
        let (channel_name, namespace) = (channel.name_any(), channel.namespace());
        tracing::info!(channel = channel_name, namespace, "let go: no pod was ever sent it");
        return release(context, channel, End::Deleted, None).await;
    }
    let is_patience_over = is_patience_over(channel, context.started, context.now());
    let kept = match plan(channel, facts, is_held, is_patience_over) {
        Plan::Nothing => return Ok(Action::await_change()),
        Plan::Wait => return Ok(Action::requeue(jitter::around(BLOCKED_INTERVAL))),
        Plan::LetGo(why) => {
            return release(context, channel, End::LetGo, Some(orphaned(format!("let go: {why}")))).await;
        }
        Plan::WithoutBroker(gone) => {
            let claim = claim_of(context, &channel.spec.broker_ref.name).await?;
            let namespace = context.ownership.namespace();
            match judge(channel, &gone, namespace, claim.as_ref()) {
                Fate::LetGo(note) => {
                    return release(context, channel, End::LetGo, Some(orphaned(note))).await;
                }
                Fate::Kept(kept) => kept,
            }
        }
        Plan::Away(why) => Kept::Away(why),
        Plan::NotServed(why) => Kept::NotServed(why),
        Plan::AnotherStore(why) => Kept::AnotherStore(why),
        Plan::Delete { uid, force, store } => match delete(channel, facts, uid, force, store).await {
            Ok(last) => return release(context, channel, End::Deleted, last).await,
            Err(kept) => kept,
        },
    };
    if matches!(kept, Kept::Away(_) | Kept::NotServed(_)) && holds_nothing(context, channel).await? {
        return release(context, channel, End::Deleted, None).await;
    }
    let is_forced = Force::of(channel) == Some(Force::Annotation);
    if is_forced && is_patience_over && matches!(kept, Kept::Away(_) | Kept::NotServed(_)) {
        let why = format!("its annotation {FORCE_DELETE} says");
        return orphan(context, channel, facts, &kept, &why).await;
    }
    if is_terminating(context, channel).await? {
        return orphan(context, channel, facts, &kept, "its namespace is terminating").await;
    }
    tell(context, channel, facts, &kept).await?;
    let next = if matches!(kept, Kept::OnClaim { .. }) { CLAIM_INTERVAL } else { BLOCKED_INTERVAL };
    Ok(Action::requeue(jitter::around(next)))
}

/// Whether no pod was ever sent the channel, and none will be.
async fn was_never_sent(context: &Context, channel: &MessageChannel, facts: &Facts) -> bool {
    let uid = channel.uid().and_then(|uid| uid.parse().ok());
    let Some(uid) = uid.filter(|uid| context.fleet.unsent().contains(*uid)) else { return false };
    match facts.broker.member() {
        Some(member) => member.give_up(uid).await,
        None => true,
    }
}

/// Whether the broker of a channel that was never told to be there has no claim that could hold anything: an operator that
/// started since does not know whether it was sent.
async fn holds_nothing(context: &Context, channel: &MessageChannel) -> Result<bool, Error> {
    let conditions = channel.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if is_true(conditions, kind::PROGRAMMED) {
        return Ok(false);
    }
    let broker = &channel.spec.broker_ref.name;
    Ok(!is_its_store(claim_of(context, broker).await?.as_ref(), broker))
}

fn orphaned(note: String) -> Last {
    (EventType::Warning, "Orphaned", note)
}

/// Deletes a channel at its broker, and gives what is to be told of it, or why it is kept.
async fn delete(
    channel: &MessageChannel,
    facts: &Facts,
    uid: Uuid,
    force: Option<Force>,
    store: Option<Uuid>,
) -> Result<Option<Last>, Kept> {
    let Some(member) = facts.broker.member() else {
        return Err(Kept::Away("the MessageBroker is gone".into()));
    };
    match member.delete(uid, force.is_some(), store).await {
        Deletion::Deleted(messages) => Ok(force.filter(|_| messages > 0).map(|force| force.event(messages))),
        Deletion::NotEmpty(held) => Err(Kept::NotEmpty(held)),
        Deletion::Unreachable(error) => Err(Kept::Away(error)),
        Deletion::AnotherStore(_) => Err(Kept::AnotherStore(another_store(channel))),
    }
}

/// Says in the status why a channel is kept. Mere counts are told now and then.
async fn tell(context: &Context, channel: &MessageChannel, facts: &Facts, kept: &Kept) -> Result<(), Error> {
    let status = deletion_blocked(channel, facts, kept, context.now());
    let written = context.written.age(&channel.uid().unwrap_or_default());
    let lately = written.is_some_and(|age| age < TELL_INTERVAL);
    if lately && only_counts_differ(&status::own(channel), &status, &kept.advice(channel)) {
        return Ok(());
    }
    status::write(context, channel, status, None).await.map(drop)
}

/// Lets a channel go that its broker cannot or does not let go.
async fn orphan(
    context: &Context,
    channel: &MessageChannel,
    facts: &Facts,
    kept: &Kept,
    why: &str,
) -> Result<Action, Error> {
    if let (Some(member), Some(Ok(uid))) = (facts.broker.member(), channel.uid().map(|uid| uid.parse())) {
        member.let_go(uid).await;
    }
    // Why comes last: it may be long, and a note is cut.
    let note =
        format!("let go, as {why}; what it held stays in the broker's store as an orphan: {}", kept.what());
    release(context, channel, End::LetGo, Some(orphaned(note))).await
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
    end: End,
    last: Option<Last>,
) -> Result<Action, Error> {
    if let Some((type_, reason, note)) = last {
        tell_last(context, channel, type_, reason, note).await;
    }
    let metadata = match gone(channel, context.ownership.namespace(), end, context.now()) {
        Some(status) => status::write(context, channel, status, None).await?,
        None => channel.metadata.clone(),
    };
    let_go(context, &metadata).await?;
    Ok(Action::await_change())
}

/// The last that is told of a channel. Of an orphan the MessageBroker tells as well, which has it from now on; and of any
/// channel whose namespace takes no events any more.
async fn tell_last(
    context: &Context,
    channel: &MessageChannel,
    type_: EventType,
    reason: &str,
    note: String,
) {
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    tracing::info!(channel = name, namespace, reason, "{note}");
    let reference = channel.object_ref(&());
    let was_told = context.events.publish_about(&reference, type_, reason, note.clone(), None).await;
    if was_told && reason != "Orphaned" {
        return;
    }
    let broker = ObjectRef::new(&channel.spec.broker_ref.name).within(context.ownership.namespace());
    if let Some(broker) = context.brokers.get(&broker) {
        let note = format!("MessageChannel {namespace}/{name}: {note}");
        let (broker, reason) = (broker.object_ref(&()), format!("Channel{reason}"));
        // Which channel it was makes each an event of its own.
        context.events.publish_about(&broker, type_, &reason, note, Some(reference)).await;
    }
}
