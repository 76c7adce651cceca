//! The status of a MessageBroker: built by pure functions, and written if it changed.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp,
};
use kube::{Resource, ResourceExt, runtime::events::EventType};
use restante_crds::{
    ACCEPT_STORE, MessageBroker, MessageBrokerStatus,
    condition::{self, kind},
};

use super::{deleting::DELETING, readiness::Trouble, store};
use crate::{
    context::Context,
    fleet::View,
    reconcile::status::{Written, own},
    shared::{
        conditions::{Assertion, conditions, transitions},
        error::Error,
        stalled::{Remedy, Stalled},
    },
};

/// The limit of a message that quotes others: an eighth of the definition's limit, so that it always fits.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The result of a reconcile.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The condition Ready.
    pub ready: Assertion,
    /// What can end the failure, if not Ready.
    pub remedy: Remedy,
    /// The object that causes the failure, if known.
    pub about: Option<ObjectReference>,
    /// The trouble that Kubernetes reports.
    pub trouble: Option<Trouble>,
    /// The number of ready pods, if known.
    pub ready_pods: Option<i32>,
    /// The differences of the storage from the spec, if compared.
    pub differences: Option<Vec<String>>,
    /// Why the claim has no volume, if it has none.
    pub unbound: Option<String>,
    /// The condition DefaultDiffers.
    pub default_differs: Option<Assertion>,
    /// The URL in the status, if known.
    pub url: Option<String>,
    /// The state of the pods' stores.
    pub view: View,
}

impl Observation {
    /// Not Ready, and nothing else is known.
    pub fn not_ready(reason: &str, message: impl Into<String>) -> Self {
        Self {
            ready: Assertion::fails(kind::READY, reason, shortened(message.into(), MESSAGE_BYTES_MAX)),
            remedy: Remedy::Time,
            about: None,
            trouble: None,
            ready_pods: None,
            differences: None,
            unbound: None,
            default_differs: None,
            url: None,
            view: View::default(),
        }
    }

    /// Why the broker is not Ready, for the statuses of its channels.
    pub fn cause(&self) -> String {
        format!("{}: {}", self.ready.reason, self.ready.message)
    }
}

/// Shortens a message, between two characters.
pub(super) fn shortened(mut message: String, bytes_max: usize) -> String {
    let end = (0..=bytes_max).rev().find(|&end| message.is_char_boundary(end));
    message.truncate(end.unwrap_or_default());
    message
}

/// The time in the status since which the broker has no ready pod, if it has none.
pub fn unready_since(broker: &MessageBroker) -> Option<Timestamp> {
    let ready = condition::find(&broker.status.as_ref()?.conditions, kind::READY)?;
    (ready.status == "False" && ready.reason == "PodsNotReady").then_some(ready.last_transition_time.0)
}

/// The status for an observation. Unknown fields keep their last value.
pub fn status(
    broker: &MessageBroker,
    observation: Observation,
    stalled: Option<Assertion>,
    now: Timestamp,
) -> MessageBrokerStatus {
    let old = own(broker);
    let generation = broker.metadata.generation;
    let number = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
    let shown = observation.view.store_id.map(|id| id.to_string());
    let accepted = broker.annotations().get(ACCEPT_STORE).map(String::as_str);
    let store = store::compare(
        (&broker.namespace().unwrap_or_default(), &broker.name_any()),
        old.store_id.as_deref(),
        shown.as_deref(),
        accepted,
        &old.conditions,
        now,
    );
    let storage = storage(observation.differences, observation.unbound, &old.conditions);
    let asserted = [Some(observation.ready), storage, observation.default_differs, store.replaced, stalled]
        .into_iter()
        .flatten();
    MessageBrokerStatus {
        observed_generation: generation,
        conditions: conditions(&old.conditions, generation, now, asserted),
        url: observation.url.or(old.url),
        ready_replicas: observation.ready_pods.or(old.ready_replicas),
        channels: number(observation.view.channels).or(old.channels),
        orphans: number(observation.view.orphans).or(old.orphans),
        address_revision: observation.view.revision.or(old.address_revision),
        store_id: store.id,
    }
}

/// The condition StorageDiffers. It stays unchanged if the storage was not compared.
fn storage(
    differences: Option<Vec<String>>,
    unbound: Option<String>,
    old: &[Condition],
) -> Option<Assertion> {
    let Some(differences) = differences else {
        let old = condition::find(old, kind::STORAGE_DIFFERS)?;
        return Some(Assertion {
            kind: kind::STORAGE_DIFFERS,
            holds: old.status == "True",
            reason: old.reason.clone(),
            message: old.message.clone(),
        });
    };
    Some(match unbound {
        _ if !differences.is_empty() => {
            Assertion::holds(kind::STORAGE_DIFFERS, "NotApplied", differences.join("; "))
        }
        Some(unbound) => Assertion::fails(kind::STORAGE_DIFFERS, "NotBound", unbound),
        None => Assertion::fails(
            kind::STORAGE_DIFFERS,
            "AsSpecified",
            "the volume matches spec.engine.embedded.storage",
        ),
    })
}

/// Writes the status for an observation. Returns the time until the resource is stalled, if nothing happens before.
pub async fn report(
    context: &Context,
    broker: &MessageBroker,
    observation: Observation,
) -> Result<Option<Duration>, Error> {
    let now = context.now();
    let differs = context.default_differs.condition(broker, &own(broker).conditions);
    let differs = differs.map(|observation| Assertion {
        message: shortened(observation.message, MESSAGE_BYTES_MAX),
        ..observation
    });
    let observation = Observation { default_differs: differs, ..observation };
    let Stalled { condition, after } = assess_stalled(context, broker, &observation, now);
    let (about, trouble) = (observation.about.clone(), observation.trouble.clone());
    write(context, broker, status(broker, observation, condition, now), about, trouble).await?;
    Ok(after)
}

fn assess_stalled(
    context: &Context,
    broker: &MessageBroker,
    observation: &Observation,
    now: Timestamp,
) -> Stalled {
    if observation.remedy == Remedy::Time {
        context.failures.clear(broker.metadata.uid.as_deref().unwrap_or_default());
        return Stalled::NONE;
    }
    let conditions = broker.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    // A failure for another reason is another failure, with its own begin.
    let before =
        condition::find(conditions, kind::READY).filter(|ready| ready.reason == observation.ready.reason);
    context.failures.assess(&broker.metadata, before, (&observation.ready, observation.remedy), now)
}

/// Writes the status if it changed, and publishes events for the transitions.
async fn write(
    context: &Context,
    broker: &MessageBroker,
    status: MessageBrokerStatus,
    about: Option<ObjectReference>,
    trouble: Option<Trouble>,
) -> Result<(), Error> {
    let Some(Written { before: old, .. }) = crate::reconcile::status::write(context, broker, &status).await?
    else {
        return Ok(());
    };
    for condition in transitions(&old.conditions, &status.conditions) {
        if let Some(type_) = event_type(condition) {
            let (reference, note) = (broker.object_ref(&()), condition.message.clone());
            let about = match condition.type_.as_str() {
                kind::READY => about.clone(),
                // The version makes it a new event: the recorder merges events with the same reason, even with another
                // note.
                _ => {
                    Some(ObjectReference { resource_version: broker.resource_version(), ..reference.clone() })
                }
            };
            context.events.publish_about(&reference, type_, &condition.reason, note, about).await;
        }
    }
    if let Some(trouble) = trouble.filter(|trouble| is_news(trouble, &old.conditions)) {
        let (reference, note) = (broker.object_ref(&()), trouble.to_string());
        let about = Some(trouble.about);
        context.events.publish_about(&reference, EventType::Warning, trouble.reason, note, about).await;
    }
    Ok(())
}

/// Whether the message of Ready does not contain the trouble yet.
fn is_news(trouble: &Trouble, old: &[Condition]) -> bool {
    condition::find(old, kind::READY).is_none_or(|ready| !ready.message.contains(&trouble.what))
}

/// The type of the event for a transition to this condition, or `None` for no event. Pods that are not ready yet have
/// no event.
fn event_type(condition: &Condition) -> Option<EventType> {
    match (condition.type_.as_str(), condition.status.as_str()) {
        (kind::READY, "True") => Some(EventType::Normal),
        (kind::READY, _) => (!["PodsNotReady", "RolloutUnderWay", DELETING]
            .contains(&condition.reason.as_str()))
        .then_some(EventType::Warning),
        (kind::STORAGE_DIFFERS | kind::STORE_REPLACED, "True") => Some(EventType::Warning),
        (kind::STORE_REPLACED, _) if condition.reason == "Accepted" => Some(EventType::Normal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::broker::validate::tests::broker;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready() -> Observation {
        Observation {
            ready: Assertion::holds(kind::READY, "Ready", "1 of 1 pods are ready"),
            remedy: Remedy::Time,
            about: None,
            trouble: None,
            ready_pods: Some(1),
            differences: Some(Vec::new()),
            unbound: None,
            default_differs: None,
            url: Some("http://mq".into()),
            view: View { channels: Some(2), store_id: Some(uuid::Uuid::nil()), ..View::default() },
        }
    }

    fn with(status: MessageBrokerStatus) -> MessageBroker {
        let mut broker = broker("mq", json!({}));
        broker.status = Some(status);
        broker
    }

    #[test]
    fn a_blocked_reconcile_keeps_the_known_status() {
        let before = status(&broker("mq", json!({})), ready(), None, at(10));
        let after =
            status(&with(before.clone()), Observation::not_ready("ApplyFailed", "quota"), None, at(20));
        assert_eq!(
            (after.url, after.channels, after.store_id),
            (before.url, before.channels, before.store_id)
        );
        let kinds: Vec<_> = after.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(kinds, [kind::READY, kind::STORAGE_DIFFERS, kind::STORE_REPLACED]);
        assert_eq!(after.conditions[1], before.conditions[1]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = Observation::not_ready("ApplyFailed", format!("a{}", "é".repeat(4096))).ready.message;
        assert_eq!(message.len(), 4095);
        assert_eq!(Observation::not_ready("ApplyFailed", "short").ready.message, "short");
    }

    #[test]
    fn foreign_conditions_do_not_change_the_status() {
        let ours = status(&broker("mq", json!({})), ready(), None, at(10));
        let mut there = ours.clone();
        let other: Value = json!({
            "type": "Backed", "status": "True", "reason": "Up", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        there.conditions.insert(0, serde_json::from_value(other).unwrap());
        there.conditions.swap(1, 2);
        assert_eq!(own(&with(there.clone())), ours);
        assert_eq!(status(&with(there), ready(), None, at(20)), ours);
    }

    #[test]
    fn storage_differs_has_reason_not_bound_without_a_volume() {
        let observation = Observation { unbound: Some("no volume".into()), ..ready() };
        let status = status(&broker("mq", json!({})), observation, None, at(10));
        let storage = condition::find(&status.conditions, kind::STORAGE_DIFFERS).unwrap();
        assert_eq!(
            (storage.status.as_str(), storage.reason.as_str(), storage.message.as_str()),
            ("False", "NotBound", "no volume")
        );
    }

    #[test]
    fn trouble_is_new_until_the_message_of_ready_contains_it() {
        let trouble = Trouble {
            reason: "ImageNotPulled",
            what: "image x cannot be pulled".into(),
            words: "ErrImagePull".into(),
            about: ObjectReference::default(),
        };
        let before = Observation::not_ready(
            "PodsNotReady",
            "0 of 1 pods are ready: image x cannot be pulled: backing off",
        );
        let before = status(&broker("mq", json!({})), before, None, at(10));
        assert!(is_news(&trouble, &[]) && !is_news(&trouble, &before.conditions));
    }

    #[test]
    fn storage_differs_lists_the_differences() {
        let mut observation = ready();
        observation.differences = Some(vec!["a".into(), "b".into()]);
        let status = status(&broker("mq", json!({})), observation, None, at(10));
        let condition = &status.conditions[1];
        assert_eq!((condition.status.as_str(), condition.message.as_str()), ("True", "a; b"));
        assert!(event_type(condition).is_some());
    }
}
