//! A deleted MessageChannel: deleted at its broker, kept while it holds messages, let go where it never could end.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};
use restante_crds::{FORCE_DELETE, MessageChannel, condition, condition::kind};
use uuid::Uuid;

use super::{
    build,
    dereference::{BrokerState, Facts},
    status,
};
use crate::{context::Context, error::Error, finalizer, fleet::Deletion, jitter};

/// How often a channel that is kept is looked at: its last message may have gone.
const BLOCKED_INTERVAL: Duration = Duration::from_secs(5);
/// The least time between two writes of how many messages there still are.
const TELL_INTERVAL: Duration = Duration::from_secs(30);

/// What to do with a deleted channel. Decided without asking anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    /// There is nothing to clean up.
    Nothing,
    /// There is no broker to ask.
    LetGo(String),
    /// The broker comes up in a moment.
    Wait,
    /// Ask the broker.
    Delete { uid: Uuid, force: bool },
}

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

fn plan(channel: &MessageChannel, facts: &Facts) -> Plan {
    if !finalizer::is_on(&channel.metadata) {
        return Plan::Nothing;
    }
    let Some(uid) = channel.metadata.uid.as_deref().and_then(|uid| uid.parse().ok()) else {
        return Plan::LetGo("the resource has no UID".into());
    };
    match &facts.broker {
        BrokerState::NotFound(why) => Plan::LetGo(why.clone()),
        BrokerState::Starting => Plan::Wait,
        BrokerState::Served { .. } => {
            Plan::Delete { uid, force: channel.annotations().contains_key(FORCE_DELETE) }
        }
    }
}

/// Why a broker keeps a channel.
struct Kept {
    reason: &'static str,
    what: String,
    remedy: String,
}

async fn delete(
    context: &Context,
    channel: &MessageChannel,
    facts: &Facts,
    uid: Uuid,
    force: bool,
) -> Result<Action, Error> {
    let Some(member) = facts.broker.member() else {
        return Ok(Action::await_change());
    };
    let kept = match member.delete(uid, force).await {
        Deletion::Deleted(0) => return release(context, channel, None).await,
        Deletion::Deleted(messages) => {
            let note =
                format!("deleted with {}, as the annotation {FORCE_DELETE} says", messages_of(messages));
            return release(context, channel, Some((EventType::Warning, "ForceDeleted", note))).await;
        }
        Deletion::NotEmpty(messages) => Kept {
            reason: "NotEmpty",
            what: format!("the channel holds {}", messages_of(messages)),
            remedy: format!("receive them, or annotate the channel with {FORCE_DELETE} to delete them"),
        },
        Deletion::Unreachable(error) => {
            Kept { reason: "BrokerUnreachable", what: error, remedy: "tried again soon".into() }
        }
    };
    if is_terminating(context, channel).await? {
        member.let_go(uid).await;
        return orphan(context, channel, &kept.what).await;
    }
    let Kept { reason, what, remedy } = kept;
    if !told_lately(channel, reason, context) {
        let status =
            build::deletion_blocked(channel, facts, reason, format!("{what}: {remedy}"), context.now());
        status::write(context, channel, status).await?;
    }
    Ok(Action::requeue(jitter::around(BLOCKED_INTERVAL)))
}

fn messages_of(count: u64) -> String {
    match count {
        1 => "1 message".into(),
        count => format!("{count} messages"),
    }
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

/// Whether the status says so already and was written a moment ago; the number of messages may wait.
fn told_lately(channel: &MessageChannel, reason: &str, context: &Context) -> bool {
    let conditions = channel.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let told = condition::find(conditions, kind::DELETION_BLOCKED)
        .is_some_and(|condition| condition.status == "True" && condition.reason == reason);
    let uid = channel.uid().unwrap_or_default();
    told && context.written.age(&uid).is_some_and(|age| age < TELL_INTERVAL)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fleet::State, message_channel::validate::tests};

    fn deleted() -> MessageChannel {
        let mut channel = tests::open();
        channel.metadata.finalizers = Some(vec![restante_crds::FINALIZER.into()]);
        channel
    }

    #[test]
    fn without_a_broker_there_is_no_one_to_wait_for() {
        let facts = Facts { broker: BrokerState::NotFound("gone".into()), outcome: None, backlog: None };
        assert_eq!(plan(&deleted(), &facts), Plan::LetGo("gone".into()));
    }

    #[test]
    fn a_channel_without_our_finalizer_is_none_of_our_business() {
        assert_eq!(plan(&tests::open(), &tests::facts(3, State::Programmed)), Plan::Nothing);
    }

    #[test]
    fn a_broker_that_is_starting_is_waited_for() {
        assert_eq!(plan(&deleted(), &tests::facts(3, State::Programmed)), Plan::Wait);
    }
}
