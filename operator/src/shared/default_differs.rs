//! The condition DefaultDiffers: why the manifest of the default MessageBroker is not applied. The reconcile of the
//! ConfigMap finds the error. The reconcile of the MessageBroker, the only writer of its status, reports it.

use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    ResourceExt,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};
use restante_crds::{
    MessageBroker,
    condition::{self, kind},
};

use crate::shared::{conditions::Assertion, triggers::Triggers};

/// The advice for the default MessageBroker. Manual edits of it are reverted.
pub const CORRECT_VALUES: &str = "Correct the values broker.* and run `helm upgrade`";

/// The state of the ConfigMap's manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ManifestState {
    /// The operator has not applied it since its start: the condition stays unchanged.
    #[default]
    Unknown,
    /// Applied, or there is no ConfigMap.
    Applied,
    /// Not applied.
    Differs(Difference),
}

/// Why the manifest is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The ConfigMap's name.
    pub config_map: String,
    /// The ConfigMap's UID.
    pub uid: Option<String>,
    /// The MessageBroker's name, if it can be read.
    pub broker: Option<String>,
    /// The reason of the condition.
    pub reason: &'static str,
    pub why: String,
}

impl Difference {
    /// Whether the difference concerns a MessageBroker: the one that the manifest names, or else every one that the
    /// ConfigMap owns.
    fn is_about(&self, broker: &MessageBroker) -> bool {
        match &self.broker {
            Some(name) => *name == broker.name_any(),
            None => broker.owner_references().iter().any(|owner| Some(&owner.uid) == self.uid.as_ref()),
        }
    }

    /// Why there is no MessageBroker of this name, and the remedy, if the manifest names it.
    fn missing_cause(&self, name: &str) -> Option<String> {
        (self.broker.as_deref() == Some(name)).then(|| {
            format!(
                "the operator creates it from ConfigMap {}, whose manifest is not applied: {}. {CORRECT_VALUES}",
                self.config_map, self.why
            )
        })
    }

    fn message(&self) -> String {
        format!(
            "this MessageBroker is unchanged, because the manifest in ConfigMap {} is not applied: {}. {CORRECT_VALUES}",
            self.config_map, self.why
        )
    }
}

impl ManifestState {
    /// The condition DefaultDiffers of a MessageBroker. `old` are its conditions so far.
    fn condition(&self, broker: &MessageBroker, old: &[Condition]) -> Option<Assertion> {
        match self {
            Self::Unknown => condition::find(old, kind::DEFAULT_DIFFERS).map(|old| Assertion {
                kind: kind::DEFAULT_DIFFERS,
                holds: old.status == "True",
                reason: old.reason.clone(),
                message: old.message.clone(),
            }),
            Self::Differs(difference) if difference.is_about(broker) => {
                Some(Assertion::holds(kind::DEFAULT_DIFFERS, difference.reason, difference.message()))
            }
            Self::Applied | Self::Differs(_) => None,
        }
    }
}

/// The state of the manifest, shared between the two reconciles.
pub struct DefaultDiffers {
    state: Mutex<ManifestState>,
    brokers: Store<DeserializeGuard<MessageBroker>>,
    triggers: Triggers<DeserializeGuard<MessageBroker>>,
}

impl DefaultDiffers {
    /// `has_config_map`: whether the installation has a ConfigMap for the default broker.
    pub fn new(
        has_config_map: bool,
        brokers: Store<DeserializeGuard<MessageBroker>>,
        triggers: Triggers<DeserializeGuard<MessageBroker>>,
    ) -> Self {
        let state = if has_config_map { ManifestState::Unknown } else { ManifestState::Applied };
        Self { state: Mutex::new(state), brokers, triggers }
    }

    /// Sets the state, and returns whether it changed. A change triggers reconciles of the MessageBrokers.
    pub fn set(&self, state: ManifestState) -> bool {
        let before = std::mem::replace(&mut *self.lock(), state.clone());
        let is_news = before != state;
        if is_news {
            // MessageBrokers that are not in the store yet are reconciled when they arrive there.
            let brokers = self.brokers.state();
            self.triggers.extend(brokers.iter().map(|broker| ObjectRef::from_obj(broker.as_ref())));
        }
        is_news
    }

    /// Why there is no MessageBroker of this name, and the remedy, if it is the default one and its manifest is
    /// refused.
    pub fn missing_cause(&self, name: &str) -> Option<String> {
        match &*self.lock() {
            ManifestState::Differs(difference) => difference.missing_cause(name),
            ManifestState::Unknown | ManifestState::Applied => None,
        }
    }

    /// The condition DefaultDiffers of a MessageBroker. `old` are its conditions so far.
    pub fn condition(&self, broker: &MessageBroker, old: &[Condition]) -> Option<Assertion> {
        self.lock().condition(broker, old)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ManifestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shared::conditions::conditions;

    fn broker(name: &str) -> MessageBroker {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageBroker",
            "metadata": { "name": name },
            "spec": {},
        }))
        .unwrap()
    }

    fn differs(name: Option<&str>) -> ManifestState {
        ManifestState::Differs(Difference {
            config_map: "defaults".into(),
            uid: Some("u1".into()),
            broker: name.map(Into::into),
            reason: "Refused",
            why: "spec.size: too small".into(),
        })
    }

    #[test]
    fn the_condition_of_the_named_broker_contains_the_error_and_the_remedy() {
        let reported = differs(Some("main")).condition(&broker("main"), &[]).unwrap();
        assert!(reported.holds && reported.message.contains("ConfigMap defaults"), "{reported:?}");
        assert!(reported.message.contains("not applied: spec.size: too small. Correct"), "{reported:?}");
        assert_eq!(differs(Some("main")).condition(&broker("other"), &[]), None);
        assert_eq!(ManifestState::Applied.condition(&broker("main"), &[]), None);
    }

    #[test]
    fn the_cause_of_a_missing_default_broker_is_its_refused_manifest() {
        let ManifestState::Differs(difference) = differs(Some("main")) else { panic!("it does not differ") };
        let why = difference.missing_cause("main").unwrap();
        assert!(why.contains("not applied: spec.size: too small. Correct the values"), "{why}");
        assert_eq!(difference.missing_cause("other"), None);
    }

    #[test]
    fn a_manifest_without_a_name_concerns_the_brokers_that_its_config_map_owns() {
        let mut made = broker("main");
        assert_eq!(differs(None).condition(&made, &[]), None);
        let owner = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "defaults", "uid": "u1" }]);
        made.metadata.owner_references = serde_json::from_value(owner).unwrap();
        assert!(differs(None).condition(&made, &[]).is_some());
    }

    #[test]
    fn the_condition_stays_until_the_manifest_is_applied_again() {
        let main = broker("main");
        let reported = differs(Some("main")).condition(&main, &[]).unwrap();
        let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
        let old = conditions(&[], None, now, [reported.clone()]);
        assert_eq!(ManifestState::Unknown.condition(&main, &old), Some(reported));
        assert_eq!(ManifestState::Applied.condition(&main, &old), None);
    }
}
