//! A deleted MessageChannel: deleted at its broker, kept while it holds messages, let go where it never could end.

use std::time::Duration;

use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};
use restante_crds::{FORCE_DELETE, MessageChannel, MessageChannelStatus, message_channel::DeletionPolicy};
use uuid::Uuid;

use super::{
    build,
    dereference::{BrokerState, Facts},
    status,
};
use crate::{
    context::Context,
    error::Error,
    finalizer,
    fleet::{Deletion, Remaining},
    jitter,
};

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
    Delete { uid: Uuid, force: Option<Force> },
}

/// Who says that a channel goes with its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    /// The annotation: somebody gave them up.
    Annotation,
    /// `deletionPolicy: Delete`.
    Policy,
}

impl Force {
    fn of(channel: &MessageChannel) -> Option<Self> {
        if channel.annotations().contains_key(FORCE_DELETE) {
            Some(Self::Annotation)
        } else {
            (channel.spec.deletion_policy == DeletionPolicy::Delete).then_some(Self::Policy)
        }
    }

    /// What `kubectl describe` shows when messages went.
    fn event(self, messages: u64) -> (EventType, &'static str, String) {
        let messages = messages_of(messages);
        match self {
            Self::Annotation => (
                EventType::Warning,
                "ForceDeleted",
                format!("deleted with {messages}, as the annotation {FORCE_DELETE} says"),
            ),
            Self::Policy => (
                EventType::Normal,
                "DeletedWithMessages",
                format!("deleted with {messages}, as spec.deletionPolicy: Delete says"),
            ),
        }
    }
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
        BrokerState::Served { .. } => Plan::Delete { uid, force: Force::of(channel) },
    }
}

/// Why a broker keeps a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    reason: &'static str,
    what: String,
    remedy: String,
}

impl Kept {
    /// A channel that is not empty. With nothing left but dead letters, receivers can do no more for it, whatever its
    /// policy; while it drains, pushes are refused to the end.
    fn not_empty(channel: &MessageChannel, remaining: Remaining) -> Self {
        let Remaining { messages, dead } = remaining;
        let drains = channel.spec.deletion_policy == DeletionPolicy::Drain;
        let delete = format!("annotate the channel with {FORCE_DELETE} to delete them");
        if messages <= dead {
            return Self {
                reason: "DeadLettersLeft",
                what: format!("the channel holds {}, and nothing else", dead_letters_of(dead)),
                remedy: format!("redrive them, or {delete}"),
            };
        }
        let dead = match dead {
            0 => String::new(),
            dead => format!(", {} among them", dead_letters_of(dead)),
        };
        let receive =
            if channel.spec.paused { "set spec.paused to false and receive them" } else { "receive them" };
        Self {
            reason: if drains { "Draining" } else { "NotEmpty" },
            what: format!("the channel holds {}{dead}", messages_of(messages)),
            remedy: format!("{receive}, or {delete}"),
        }
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

fn messages_of(count: u64) -> String {
    match count {
        1 => "1 message".into(),
        count => format!("{count} messages"),
    }
}

fn dead_letters_of(count: u64) -> String {
    match count {
        1 => "1 dead letter".into(),
        count => format!("{count} dead letters"),
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

/// Whether two statuses differ in nothing but how many messages there are, which may wait.
fn only_counts_differ(old: Option<&MessageChannelStatus>, new: &MessageChannelStatus) -> bool {
    let conditions = |status: &MessageChannelStatus| -> Vec<_> {
        let tell = |one: &Condition| {
            (one.type_.clone(), one.status.clone(), one.reason.clone(), one.observed_generation)
        };
        status.conditions.iter().map(tell).collect()
    };
    old.is_some_and(|old| conditions(old) == conditions(new))
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
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::{
        fleet::State,
        message_channel::validate::{tests, validate},
    };

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

    #[test]
    fn messages_go_only_where_the_policy_or_the_annotation_says_so() {
        let with = |policy| {
            let mut channel = deleted();
            channel.spec.deletion_policy = policy;
            channel
        };
        assert_eq!(Force::of(&with(DeletionPolicy::Block)), None);
        assert_eq!(Force::of(&with(DeletionPolicy::Drain)), None);
        assert_eq!(Force::of(&with(DeletionPolicy::Delete)), Some(Force::Policy));
        let mut annotated = with(DeletionPolicy::Delete);
        annotated.metadata.annotations = Some([(FORCE_DELETE.to_owned(), String::new())].into());
        assert_eq!(Force::of(&annotated), Some(Force::Annotation));
        annotated.spec.deletion_policy = DeletionPolicy::Drain;
        assert_eq!(Force::of(&annotated), Some(Force::Annotation));
    }

    #[test]
    fn what_keeps_a_channel_is_told_with_what_to_do() {
        let told = |policy, messages, dead| {
            let mut channel = deleted();
            channel.spec.deletion_policy = policy;
            let kept = Kept::not_empty(&channel, Remaining { messages, dead });
            (kept.reason, kept.what)
        };
        let (block, drain) = (DeletionPolicy::Block, DeletionPolicy::Drain);
        assert_eq!(told(block, 1, 0), ("NotEmpty", "the channel holds 1 message".into()));
        let mixed = "the channel holds 5 messages, 2 dead letters among them";
        assert_eq!(told(drain, 5, 2), ("Draining", mixed.into()));
        for policy in [block, drain] {
            let left = ("DeadLettersLeft", "the channel holds 2 dead letters, and nothing else".into());
            assert_eq!(told(policy, 2, 2), left);
        }
    }

    #[test]
    fn a_paused_channel_that_drains_says_that_nobody_can_empty_it() {
        let mut channel = deleted();
        channel.spec.paused = true;
        let kept = Kept::not_empty(&channel, Remaining { messages: 3, dead: 0 });
        assert!(kept.remedy.starts_with("set spec.paused to false"), "{}", kept.remedy);
    }

    #[test]
    fn a_count_may_wait_and_a_reason_or_another_generation_may_not() {
        let status = |facts: &Facts, reason, message: &str| {
            let mut channel = deleted();
            channel.spec.deletion_policy = DeletionPolicy::Drain;
            channel.status = Some(build::status(
                &tests::open(),
                &tests::facts(3, State::Programmed),
                &validate(&tests::open(), &tests::facts(3, State::Programmed)),
                Timestamp::UNIX_EPOCH,
            ));
            channel.metadata.generation = Some(4);
            build::deletion_blocked(&channel, facts, reason, message.into(), Timestamp::UNIX_EPOCH)
        };
        let (before, after) = (tests::facts(3, State::Programmed), tests::facts(4, State::Programmed));
        let old = status(&after, "Draining", "5 messages");
        assert!(only_counts_differ(Some(&old), &status(&after, "Draining", "4 messages")));
        assert!(!only_counts_differ(Some(&old), &status(&after, "DeadLettersLeft", "4 messages")));
        assert!(!only_counts_differ(Some(&old), &status(&before, "Draining", "5 messages")));
        assert!(!only_counts_differ(None, &old));
    }
}
