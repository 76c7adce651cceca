//! The status of a MessageBroker whose operator is uninstalled: Ready is Unknown. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::ResourceExt;
use restante_crds::{
    MessageBroker, MessageBrokerStatus,
    condition::{self, kind},
};

use crate::{
    kinds::channel::OPERATOR_UNINSTALLED,
    reconcile::status::own,
    shared::conditions::{Assertion, conditions, replace},
};

/// The last status by the operator: unchanged, except for Ready, which is Unknown.
pub(crate) fn uninstalled(broker: &MessageBroker, now: Timestamp) -> MessageBrokerStatus {
    let old = own(broker);
    let namespace = broker.namespace().unwrap_or_default();
    let message = format!(
        "the operator of namespace {namespace} was uninstalled, and no operator manages this MessageBroker: its pods keep \
         running unchanged. Install the operator again in {namespace}, or delete this MessageBroker; its volume claim stays"
    );
    let asserted = Assertion::fails(kind::READY, OPERATOR_UNINSTALLED, message);
    let made = conditions(&[], broker.metadata.generation, now, [asserted]);
    let was = condition::find(&old.conditions, kind::READY);
    let mut merged = old.conditions.clone();
    for mut ready in made {
        ready.status = "Unknown".into();
        if let Some(since) = was.filter(|was| was.status == ready.status) {
            ready.last_transition_time = Time(since.last_transition_time.0);
        }
        replace(&mut merged, ready);
    }
    MessageBrokerStatus { conditions: merged, ..old }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::broker::{
        status::{Observation, status},
        validate::tests::broker,
    };

    #[test]
    fn an_uninstall_changes_only_ready_to_unknown() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut broker = broker("mq", json!({}));
        let merged = Observation {
            ready: Assertion::holds(kind::READY, "Ready", ""),
            differences: Some(Vec::new()),
            url: Some("http://mq".into()),
            ..Observation::not_ready("", "")
        };
        let before = status(&broker, merged, None, at(10));
        broker.status = Some(before.clone());
        let left = uninstalled(&broker, at(20));
        let ready = &left.conditions[0];
        assert_eq!((&*ready.status, &*ready.reason), ("Unknown", "OperatorUninstalled"));
        assert_eq!(ready.last_transition_time, Time(at(20)));
        assert_eq!((&left.url, &left.conditions[1..]), (&before.url, &before.conditions[1..]));
        // A second time, nothing changes.
        broker.status = Some(left.clone());
        assert_eq!(uninstalled(&broker, at(30)), left);
    }
}
