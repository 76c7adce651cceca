//! The availability of a broker for its clients: whether a pod is ready, and for how long none has been. Pure.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{Pod, PodCondition},
    jiff::Timestamp,
};
use tokio::time::Instant;

/// How long a broker may have no ready pod before its channels report it. A restart or a rollout of its one pod takes
/// less, and must not write the statuses of 10,000 channels twice: each write costs the API server 12 ms of CPU.
pub const AWAY_AFTER: Duration = Duration::from_secs(60);

/// The availability of a broker for its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Availability {
    /// No pod is ready, as far as known for less than `AWAY_AFTER`: statuses of channels do not change.
    #[default]
    Unsettled,
    /// A pod is ready.
    Ready,
    /// No pod has been ready for `AWAY_AFTER`.
    Away,
}

/// When a broker lost its last ready pod. Before the first update, it counts as ready.
#[derive(Debug, Default)]
pub(super) struct Absence {
    since: Option<Instant>,
    is_away: bool,
}

impl Absence {
    /// Records whether a pod is ready. `before` is how long none has been, if known from elsewhere.
    pub(super) fn notice(&mut self, is_ready: bool, before: Duration, now: Instant) -> Availability {
        if is_ready {
            *self = Self::default();
            return Availability::Ready;
        }
        // Longer than AWAY_AFTER makes no difference.
        let since = || now.checked_sub(before.min(AWAY_AFTER)).unwrap_or(now);
        let since = *self.since.get_or_insert_with(since);
        self.is_away = now.duration_since(since) >= AWAY_AFTER;
        if self.is_away { Availability::Away } else { Availability::Unsettled }
    }

    /// When the broker becomes away, unless a pod becomes ready before.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.filter(|_| !self.is_away).map(|since| since + AWAY_AFTER)
    }
}

/// The condition Ready of a pod, if the kubelet has set it.
pub fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready")
}

/// Whether the Service routes clients to a pod.
pub(super) fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && ready_condition(pod).is_some_and(|condition| condition.status == "True")
}

/// How long no pod has been ready at the first update: the longest time in the statuses of the MessageBroker and its
/// pods. A new pod does not know about its predecessor.
pub(super) fn known_before(pods: &[&Pod], reported_since: Option<Timestamp>, now: Timestamp) -> Duration {
    let unready = |pod: &&Pod| {
        let condition = ready_condition(pod).filter(|condition| condition.status == "False")?;
        Some(condition.last_transition_time.as_ref()?.0)
    };
    let since = pods.iter().filter_map(unready).chain(reported_since).min();
    since.and_then(|since| Duration::try_from(now.duration_since(since)).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &str, since: &str) -> Pod {
        let condition = json!({ "type": "Ready", "status": status, "lastTransitionTime": since });
        serde_json::from_value(json!({ "status": { "conditions": [condition] } })).unwrap()
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn a_broker_is_away_after_a_minute_without_a_ready_pod_and_ready_again_at_once() {
        let mut absence = Absence::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(absence.notice(true, Duration::ZERO, start), Availability::Ready);
        assert_eq!(absence.due(), None);
        assert_eq!(absence.notice(false, Duration::ZERO, after(10)), Availability::Unsettled);
        assert_eq!(absence.due(), Some(after(70)));
        assert_eq!(absence.notice(false, Duration::ZERO, after(69)), Availability::Unsettled);
        assert_eq!(absence.notice(false, Duration::ZERO, after(70)), Availability::Away);
        assert_eq!(absence.due(), None);
        assert_eq!(absence.notice(true, Duration::ZERO, after(71)), Availability::Ready);
        assert_eq!(absence.notice(false, Duration::ZERO, after(72)), Availability::Unsettled);
    }

    #[test]
    fn a_restarted_operator_continues_with_the_time_in_the_status() {
        let now = at("2026-01-01T00:02:00Z");
        let made = pod("False", "2026-01-01T00:01:50Z");
        assert_eq!(known_before(&[&made], None, now), Duration::from_secs(10));
        let reported = Some(at("2026-01-01T00:00:00Z"));
        assert_eq!(known_before(&[&made], reported, now), Duration::from_secs(120));
        assert_eq!(known_before(&[], None, now), Duration::ZERO);
        assert_eq!(known_before(&[&pod("False", "2026-01-01T00:03:00Z")], None, now), Duration::ZERO);
        let before = known_before(&[&made], reported, now);
        assert_eq!(Absence::default().notice(false, before, Instant::now()), Availability::Away);
    }

    #[test]
    fn a_terminating_pod_is_not_ready() {
        let mut pod = pod("True", "2026-01-01T00:00:00Z");
        assert!(is_ready(&pod) && !is_ready(&Pod::default()));
        pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap();
        assert!(!is_ready(&pod));
    }
}
