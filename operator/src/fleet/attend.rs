//! A broker's task, attending to whether the broker is there for its clients. Its channels are looked at again where that turns,
//! and only those that have to say something else.

use std::sync::Arc;

use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::runtime::reflector::ObjectRef;
use restante_crds::{
    MessageChannel,
    condition::{self, kind},
};
use tokio::time::Instant;

use super::{
    actor::Actor,
    availability::{Availability, is_ready, known_before},
};

impl Actor {
    pub(super) fn attend(&mut self, now: Instant) {
        let pods = self.pods();
        let pods: Vec<&Pod> = pods.iter().map(Arc::as_ref).collect();
        let before = known_before(&pods, self.unready_since.take(), Timestamp::now());
        let is_ready = pods.iter().any(|pod| is_ready(pod));
        let availability = self.absence.notice(is_ready, before, now);
        if !self.member.set_availability(availability) || availability == Availability::Unsettled {
            return;
        }
        let channels = self.around.channels.state();
        self.around.channel_triggers.extend(
            channels
                .iter()
                .filter(|guard| {
                    let concerned =
                        |channel: &MessageChannel| self.is_ours(channel) && concerns(availability, channel);
                    guard.0.as_ref().is_ok_and(concerned)
                })
                .map(|guard| ObjectRef::from_obj(guard.as_ref())),
        );
    }
}

/// Whether a channel may have to say something else now.
fn concerns(availability: Availability, channel: &MessageChannel) -> bool {
    let conditions = channel.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = condition::find(conditions, kind::READY).is_some_and(|ready| ready.status == "True");
    match availability {
        Availability::Ready => !ready,
        Availability::Away => ready,
        Availability::Unsettled => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_channels_that_have_to_say_something_else_are_looked_at_again() {
        let channel = |ready: &str| -> MessageChannel {
            let condition = json!({
                "type": "Ready", "status": ready, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            });
            serde_json::from_value(json!({
                "apiVersion": "restante.dev/v1alpha1",
                "kind": "MessageChannel",
                "metadata": { "name": "orders" },
                "spec": { "access": { "anonymous": true } },
                "status": { "conditions": [condition] },
            }))
            .unwrap()
        };
        for (ready, at_ready, at_away) in
            [("True", false, true), ("False", true, false), ("Unknown", true, false)]
        {
            assert_eq!(concerns(Availability::Ready, &channel(ready)), at_ready, "{ready}");
            assert_eq!(concerns(Availability::Away, &channel(ready)), at_away, "{ready}");
            assert!(!concerns(Availability::Unsettled, &channel(ready)), "{ready}");
        }
    }
}
