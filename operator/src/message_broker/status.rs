//! The status of a MessageBroker: built purely, written when it changed.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::EventType,
};
use restante_crds::{ACCEPT_STORE, GROUP, MessageBroker, MessageBrokerStatus, VERSION, condition::kind};
use serde_json::json;

use super::{KIND, store};
use crate::{
    conditions::{Assertion, conditions, transitions},
    context::Context,
    error::Error,
    fleet::View,
    names::FIELD_MANAGER,
};

/// The conditions that are the operator's. Whatever others there are is another's.
const OURS: [&str; 3] = [kind::READY, kind::STORAGE_DIFFERS, kind::STORE_REPLACED];

/// What a reconcile found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The condition Ready.
    pub ready: Assertion,
    /// Pods that are ready, if that is known.
    pub ready_pods: Option<i32>,
    /// What of the storage is not as asked, if it was looked at.
    pub differences: Option<Vec<String>>,
    /// What clients begin with, if it is known.
    pub url: Option<String>,
    /// What the pods say of themselves.
    pub view: View,
}

impl Told {
    /// That something is in the way, and nothing else is known.
    pub fn stopped(reason: &str, message: impl Into<String>) -> Self {
        Self {
            ready: Assertion::fails(kind::READY, reason, message),
            ready_pods: None,
            differences: None,
            url: None,
            view: View::default(),
        }
    }
}

/// The status that says so. What is not known stays as it was last told.
pub fn status(broker: &MessageBroker, told: Told, now: Timestamp) -> MessageBrokerStatus {
    let old = broker.status.clone().unwrap_or_default();
    let generation = broker.metadata.generation;
    let number = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
    let shown = told.view.store_id.map(|id| id.to_string());
    let accepted = broker.annotations().get(ACCEPT_STORE).map(String::as_str);
    let store = store::judge(
        &broker.name_any(),
        old.store_id.as_deref(),
        shown.as_deref(),
        accepted,
        &old.conditions,
        now,
    );
    let storage = storage(told.differences, &old.conditions);
    let asserted = [Some(told.ready), storage, store.replaced].into_iter().flatten();
    MessageBrokerStatus {
        observed_generation: generation,
        conditions: conditions(&old.conditions, generation, now, asserted),
        url: told.url.or(old.url),
        ready_replicas: told.ready_pods.or(old.ready_replicas),
        channels: number(told.view.channels).or(old.channels),
        orphans: number(told.view.orphans).or(old.orphans),
        address_revision: told.view.revision.or(old.address_revision),
        store_id: store.id,
    }
}

/// The condition StorageDiffers, as it was where nobody looked.
fn storage(differences: Option<Vec<String>>, old: &[Condition]) -> Option<Assertion> {
    let Some(differences) = differences else {
        let old = restante_crds::condition::find(old, kind::STORAGE_DIFFERS)?;
        return Some(Assertion {
            kind: kind::STORAGE_DIFFERS,
            holds: old.status == "True",
            reason: old.reason.clone(),
            message: old.message.clone(),
        });
    };
    Some(if differences.is_empty() {
        Assertion::fails(
            kind::STORAGE_DIFFERS,
            "AsAsked",
            "the volume is as spec.engine.embedded.storage asks",
        )
    } else {
        Assertion::holds(kind::STORAGE_DIFFERS, "NotApplied", differences.join("; "))
    })
}

/// Writes the status if it says something new, and tells what turned.
pub async fn write(
    context: &Context,
    broker: &MessageBroker,
    status: MessageBrokerStatus,
) -> Result<(), Error> {
    if broker.status.as_ref().is_some_and(|old| says_the_same(old, &status)) {
        return Ok(());
    }
    let api: Api<MessageBroker> =
        Api::namespaced(context.client.clone(), &broker.namespace().unwrap_or_default());
    let name = broker.name_any();
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": name, "uid": broker.metadata.uid },
        "status": status,
    });
    let written = api
        .patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))
        .await
        .map_err(Error::kube(format!("write the status of MessageBroker {name}")))?;
    context.written.record(&written.metadata);
    context.metrics.status_writes.with_label_values(&[KIND]).inc();
    let old = broker.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    for condition in transitions(old, &status.conditions) {
        if let Some(type_) = worth_telling(condition) {
            context.events.publish(broker, type_, &condition.reason, condition.message.clone()).await;
        }
    }
    Ok(())
}

/// Whether a status is what is there, but for the conditions of others.
fn says_the_same(there: &MessageBrokerStatus, status: &MessageBrokerStatus) -> bool {
    let mut there = there.clone();
    there.conditions.retain(|condition| OURS.contains(&condition.type_.as_str()));
    there.conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    let mut status = status.clone();
    status.conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    there == status
}

/// Whether a transition to this condition is worth an event, and of which type. Pods that are not ready yet are no news.
fn worth_telling(condition: &Condition) -> Option<EventType> {
    match (condition.type_.as_str(), condition.status.as_str()) {
        (kind::READY, "True") => Some(EventType::Normal),
        (kind::READY, _) => (!["PodsNotReady", "RolloutUnderWay"].contains(&condition.reason.as_str()))
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
    use crate::message_broker::validate::tests::broker;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready() -> Told {
        Told {
            ready: Assertion::holds(kind::READY, "Ready", "1 of 1 pods are ready"),
            ready_pods: Some(1),
            differences: Some(Vec::new()),
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
    fn what_stops_a_reconcile_leaves_what_was_known() {
        let before = status(&broker("mq", json!({})), ready(), at(10));
        let after = status(&with(before.clone()), Told::stopped("ApplyFailed", "quota"), at(20));
        assert_eq!(
            (after.url, after.channels, after.store_id),
            (before.url, before.channels, before.store_id)
        );
        let kinds: Vec<_> = after.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(kinds, OURS);
        assert_eq!(after.conditions[1], before.conditions[1]);
    }

    #[test]
    fn conditions_of_others_make_no_difference() {
        let ours = status(&broker("mq", json!({})), ready(), at(10));
        let mut there = ours.clone();
        let other: Value = json!({
            "type": "Backed", "status": "True", "reason": "Up", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        there.conditions.insert(0, serde_json::from_value(other).unwrap());
        there.conditions.swap(1, 2);
        assert!(says_the_same(&there, &ours));
        assert!(!says_the_same(
            &there,
            &status(&with(there.clone()), Told::stopped("NameTaken", ""), at(20))
        ));
    }

    #[test]
    fn what_is_told_of_the_storage_is_what_differs() {
        let mut told = ready();
        told.differences = Some(vec!["a".into(), "b".into()]);
        let status = status(&broker("mq", json!({})), told, at(10));
        let condition = &status.conditions[1];
        assert_eq!((condition.status.as_str(), condition.message.as_str()), ("True", "a; b"));
        assert!(worth_telling(condition).is_some());
    }
}
