//! Finalizes a deleted MessageChannel: deletes it at its broker, waits while it has messages, and releases it if the
//! deletion could never complete.

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
    blocker::Blocker,
    deletion::{Force, Plan, another_store, only_counts_differ, plan, wait_is_over},
    dereference::Facts,
    final_status::{End, final_status},
    remove_finalizer, status,
    without_broker::{Fate, decide, may_hold_store},
};
use crate::{
    context::Context,
    fleet::Deletion,
    kinds::broker::dereference::claim_of,
    shared::{conditions::is_true, error::Error, jitter},
};

/// The retry interval of a blocked deletion: its last message may have left.
const BLOCKED_INTERVAL: Duration = Duration::from_secs(5);
/// The retry interval if only a claim is left, which is rarely deleted. A recreated MessageBroker triggers its channels
/// at once.
const CLAIM_INTERVAL: Duration = Duration::from_secs(15);
/// The minimum time between two status writes that change only the number of messages.
const COUNTS_INTERVAL: Duration = Duration::from_secs(30);

/// The type, reason and note of a channel's final event.
type FinalEvent = (EventType, &'static str, String);

/// Does the next step of a deletion.
pub async fn finalize(context: &Context, channel: &MessageChannel, facts: &Facts) -> Result<Action, Error> {
    let is_held = context.ownership.is_held(&channel.metadata);
    if is_held && was_never_sent(context, channel, facts).await {
        let (channel_name, namespace) = (channel.name_any(), channel.namespace());
        tracing::info!(channel = channel_name, namespace, "released: the channel was never sent to a pod");
        return release(context, channel, End::Deleted, None).await;
    }
    let wait_is_over = wait_is_over(channel, context.started, context.now());
    let blocker = match plan(channel, facts, is_held, wait_is_over) {
        Plan::Nothing => return Ok(Action::await_change()),
        Plan::Wait => return Ok(Action::requeue(jitter::around(BLOCKED_INTERVAL))),
        Plan::Release(why) => {
            return release(context, channel, End::Released, Some(orphaned(format!("released: {why}"))))
                .await;
        }
        Plan::WithoutBroker(gone) => {
            let claim = claim_of(context, &channel.spec.broker_ref.name).await?;
            let namespace = context.ownership.namespace();
            match decide(channel, &gone, namespace, claim.as_ref()) {
                Fate::Released(note) => {
                    return release(context, channel, End::Released, Some(orphaned(note))).await;
                }
                Fate::Blocked(blocker) => blocker,
            }
        }
        Plan::Unreachable(why) => Blocker::Unreachable(why),
        Plan::NotServed(why) => Blocker::NotServed(why),
        Plan::AnotherStore(why) => Blocker::AnotherStore(why),
        Plan::Delete { uid, force, store } => match delete(channel, facts, uid, force, store).await {
            Ok(last) => return release(context, channel, End::Deleted, last).await,
            Err(blocker) => blocker,
        },
    };
    if matches!(blocker, Blocker::Unreachable(_) | Blocker::NotServed(_))
        && has_no_claim(context, channel).await?
    {
        return release(context, channel, End::Deleted, None).await;
    }
    let is_forced = Force::of(channel) == Some(Force::Annotation);
    if is_forced && wait_is_over && matches!(blocker, Blocker::Unreachable(_) | Blocker::NotServed(_)) {
        let why = format!("requested by the annotation {FORCE_DELETE}");
        return orphan(context, channel, facts, &blocker, &why).await;
    }
    if is_terminating(context, channel).await? {
        return orphan(context, channel, facts, &blocker, "because its namespace is terminating").await;
    }
    report_blocked(context, channel, facts, &blocker).await?;
    let next = if matches!(blocker, Blocker::OnClaim { .. }) { CLAIM_INTERVAL } else { BLOCKED_INTERVAL };
    Ok(Action::requeue(jitter::around(next)))
}

/// Whether the channel was never sent to a pod, and never will be.
async fn was_never_sent(context: &Context, channel: &MessageChannel, facts: &Facts) -> bool {
    let uid = channel.uid().and_then(|uid| uid.parse().ok());
    let Some(uid) = uid.filter(|uid| context.fleet.unsent().contains(*uid)) else { return false };
    match facts.broker.member() {
        Some(member) => member.discard_unsent(uid).await,
        None => true,
    }
}

/// Whether the channel was never Programmed, and its broker has no claim that could contain messages. After a restart,
/// the operator does not know whether the channel was sent.
async fn has_no_claim(context: &Context, channel: &MessageChannel) -> Result<bool, Error> {
    let conditions = channel.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if is_true(conditions, kind::PROGRAMMED) {
        return Ok(false);
    }
    let broker = &channel.spec.broker_ref.name;
    Ok(!may_hold_store(claim_of(context, broker).await?.as_ref(), broker))
}

fn orphaned(note: String) -> FinalEvent {
    (EventType::Warning, "Orphaned", note)
}

/// Deletes a channel at its broker. Returns the final event, or why the deletion is blocked.
async fn delete(
    channel: &MessageChannel,
    facts: &Facts,
    uid: Uuid,
    force: Option<Force>,
    store: Option<Uuid>,
) -> Result<Option<FinalEvent>, Blocker> {
    let Some(member) = facts.broker.member() else {
        return Err(Blocker::Unreachable("the MessageBroker does not exist any more".into()));
    };
    match member.delete(uid, force.is_some(), store).await {
        Deletion::Deleted(messages) => Ok(force.filter(|_| messages > 0).map(|force| force.event(messages))),
        Deletion::NotEmpty(held) => Err(Blocker::NotEmpty(held)),
        Deletion::Unreachable(error) => Err(Blocker::Unreachable(error)),
        Deletion::AnotherStore(_) => Err(Blocker::AnotherStore(another_store(channel))),
    }
}

/// Writes why the deletion is blocked to the status. Changes of counts only are written less often.
async fn report_blocked(
    context: &Context,
    channel: &MessageChannel,
    facts: &Facts,
    blocker: &Blocker,
) -> Result<(), Error> {
    let status = deletion_blocked(channel, facts, blocker, context.now());
    let written = context.last_writes.age(&channel.uid().unwrap_or_default());
    let lately = written.is_some_and(|age| age < COUNTS_INTERVAL);
    if lately
        && only_counts_differ(&crate::reconcile::status::own(channel), &status, &blocker.advice(channel))
    {
        return Ok(());
    }
    status::write(context, channel, status, None).await.map(drop)
}

/// Releases a channel without its deletion at the broker.
async fn orphan(
    context: &Context,
    channel: &MessageChannel,
    facts: &Facts,
    blocker: &Blocker,
    why: &str,
) -> Result<Action, Error> {
    if let (Some(member), Some(Ok(uid))) = (facts.broker.member(), channel.uid().map(|uid| uid.parse())) {
        member.release(uid).await;
    }
    // The cause comes last, because it may be long and a note may be cut.
    let note =
        format!("released, {why}; its messages stay in the broker's store as an orphan: {}", blocker.what());
    release(context, channel, End::Released, Some(orphaned(note))).await
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
    last: Option<FinalEvent>,
) -> Result<Action, Error> {
    if let Some((type_, reason, note)) = last {
        publish_final_event(context, channel, type_, reason, note).await;
    }
    let metadata = match final_status(channel, context.ownership.namespace(), end, context.now()) {
        Some(status) => status::write(context, channel, status, None).await?,
        None => channel.metadata.clone(),
    };
    remove_finalizer(context, &metadata).await?;
    Ok(Action::await_change())
}

/// Publishes a channel's final event. For an orphan, or if the namespace accepts no more events, the MessageBroker gets
/// the event as well.
async fn publish_final_event(
    context: &Context,
    channel: &MessageChannel,
    type_: EventType,
    reason: &str,
    note: String,
) {
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    tracing::info!(channel = name, namespace, reason, "{note}");
    let reference = channel.object_ref(&());
    let was_reported = context.events.publish_about(&reference, type_, reason, note.clone(), None).await;
    if was_reported && reason != "Orphaned" {
        return;
    }
    let broker = ObjectRef::new(&channel.spec.broker_ref.name).within(context.ownership.namespace());
    if let Some(broker) = context.brokers.get(&broker) {
        let note = format!("MessageChannel {namespace}/{name}: {note}");
        let (broker, reason) = (broker.object_ref(&()), format!("Channel{reason}"));
        // The related channel makes each an event of its own.
        context.events.publish_about(&broker, type_, &reason, note, Some(reference)).await;
    }
}
