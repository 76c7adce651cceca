//! The link to one pod: the assumed state of its address store, and when to call the pod again. Pure.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use restante_wire::{Revision, control::StoreState};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    fleet::{
        control::ControlError,
        desired::{Change, Desired},
        plan::{PodState, Step},
    },
    shared::jitter,
};

/// The interval between two periodic complete sets, which repair undetected differences within five minutes.
const SYNC_INTERVAL: Duration = Duration::from_secs(300);
/// The wait after the first failure: a container listens a moment after its start.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest wait after failures.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// A Running pod of a broker.
#[derive(Debug)]
pub(in crate::fleet) struct Link {
    /// The name of the pod.
    pub(in crate::fleet) pod: String,
    pub(super) incarnation: Incarnation,
    /// Counts the incarnations. An answer of an earlier one says nothing about this one.
    pub(super) epoch: u64,
    pub(in crate::fleet) known: PodState,
    pub(in crate::fleet) error: Option<ControlError>,
    failures: u32,
    retry_at: Option<Instant>,
    sync_at: Instant,
    news: News,
}

/// Events since the broker's task last read them.
#[derive(Debug, Default)]
pub(in crate::fleet) struct News {
    /// Channels that the pod accepted one by one.
    pub(in crate::fleet) accepted: Vec<Uuid>,
    /// Whether the pod has got, or was found to have, a complete set.
    pub(in crate::fleet) has_set: bool,
    /// The channel that the pod refuses.
    refused: Option<RefusedChannel>,
}

/// Identifies the broker's process in a pod. A new address or a restarted container may be a new process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fleet) struct Incarnation {
    pub(super) address: IpAddr,
    container: Option<String>,
    restarts: i32,
}

/// A channel that the broker refuses, and the broker's error.
#[derive(Debug)]
pub(in crate::fleet) struct RefusedChannel {
    pub(in crate::fleet) uid: Uuid,
    pub(in crate::fleet) reason: String,
}

/// The incarnation of a pod that can be called: Running, with an address, and not terminating.
pub(in crate::fleet) fn incarnation(pod: &Pod) -> Option<Incarnation> {
    let status = pod.status.as_ref()?;
    if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() != Some("Running") {
        return None;
    }
    let container = status.container_statuses.iter().flatten().next();
    Some(Incarnation {
        address: status.pod_ip.as_deref()?.parse().ok()?,
        container: container.and_then(|container| container.container_id.clone()),
        restarts: container.map_or(0, |container| container.restart_count),
    })
}

impl Link {
    pub(super) fn new(pod: String, incarnation: Incarnation, now: Instant) -> Self {
        Self {
            pod,
            incarnation,
            epoch: 0,
            known: PodState::default(),
            error: None,
            failures: 0,
            retry_at: None,
            sync_at: now + jitter::around(SYNC_INTERVAL),
            news: News::default(),
        }
    }

    /// Updates the incarnation, and returns whether it is another one. The state of a new process is unknown.
    pub(super) fn notice(&mut self, incarnation: Incarnation) -> bool {
        if self.incarnation == incarnation {
            return false;
        }
        self.incarnation = incarnation;
        self.epoch += 1;
        self.known = PodState::default();
        self.retry_at = None;
        self.failures = 0;
        true
    }

    /// When the pod must be called again, if nothing changes before.
    pub(super) fn due(&self) -> Instant {
        self.retry_at.unwrap_or(self.sync_at)
    }

    /// The next step, unless the pod failed a moment ago.
    pub(super) fn next(&mut self, desired: &Desired, now: Instant) -> Step {
        if self.retry_at.is_some_and(|at| at > now) {
            return Step::Nothing;
        }
        let step = match self.known.next(desired) {
            Step::Nothing | Step::Put(_) if self.sync_at <= now => Step::Sync,
            step => step,
        };
        if step == Step::Nothing {
            // The pod needs nothing any more, so there is nothing to retry.
            self.succeeded();
        }
        step
    }

    pub(super) fn desired_changed(&mut self, change: &Change) {
        self.known.desired_changed(change);
    }

    /// Records the store's state. Returns whether the pod has the desired channels.
    pub(super) fn update(&mut self, store: StoreState, desired: &Desired) -> bool {
        let is_desired = self.known.update(store, desired);
        self.news.has_set |= is_desired;
        is_desired
    }

    /// Records the answer to a complete set.
    pub(super) fn synced(&mut self, store: StoreState, now: Instant) {
        self.known.end_sync(Some(store));
        self.news.has_set = true;
        self.sync_at = now + jitter::around(SYNC_INTERVAL);
    }

    /// Records that the pod accepted a channel. The news are bounded by [`STEPS_MAX`](super::STEPS_MAX) lists of puts:
    /// the broker's task reads them after each list.
    pub(super) fn accepted(&mut self, uid: Uuid) {
        self.news.accepted.push(uid);
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.retry_at = None;
        self.error = None;
    }

    pub(super) fn failed(&mut self, error: ControlError, desired: &Desired, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let wait = RETRY_FIRST.saturating_mul(1 << (self.failures - 1).min(10)).min(RETRY_LONGEST);
        self.retry_at = Some(now + jitter::around(wait));
        tracing::warn!(pod = self.pod, failures = self.failures, %error, "cannot program the broker pod");
        self.news.refused = refused_channel(&error, desired);
        self.error = Some(error);
    }

    /// The channel that the pod refuses, if any. After that, the pod is called again at once.
    pub(super) fn take_refused(&mut self) -> Option<RefusedChannel> {
        let refused = self.news.refused.take()?;
        self.retry_at = None;
        self.error = None;
        Some(refused)
    }

    pub(in crate::fleet) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Whether the pod has the desired channels.
    pub(super) fn is_in_line(&self, desired: &Desired) -> bool {
        self.known.next(desired) == Step::Nothing
    }

    /// The last known revision of the pod.
    pub(in crate::fleet) fn revision(&self) -> Option<Revision> {
        self.known.store.as_ref().map(|store| store.revision)
    }
}

/// The channel of the set that the broker refuses. One invalid channel must not prevent the programming of the others.
fn refused_channel(error: &ControlError, desired: &Desired) -> Option<RefusedChannel> {
    let ControlError::Refused(refusal) = error else {
        return None;
    };
    let uid = refusal.uid.filter(|uid| desired.channels().contains_key(uid))?;
    Some(RefusedChannel { uid, reason: refusal.problem.detail.clone() })
}

#[cfg(test)]
mod tests {
    use restante_crds::MessageChannel;
    use restante_wire::{Problem, ProblemType, control::ControlProblem};
    use serde_json::{Value, json};

    use super::*;

    fn channel(number: u128, name: &str) -> MessageChannel {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": {
                "name": name,
                "namespace": "acme",
                "uid": Uuid::from_u128(number),
            },
            "spec": { "access": { "anonymous": true } },
        }))
        .unwrap()
    }

    fn store(revision: Revision) -> StoreState {
        StoreState {
            store_id: Uuid::nil(),
            revision,
            synced_at: Some("2026-01-01T00:00:00Z".into()),
            channels: 2,
            orphans: 0,
        }
    }

    fn desired() -> Desired {
        let mut desired = Desired::default();
        [channel(1, "orders"), channel(2, "orders-old")].iter().for_each(|channel| desired.set(channel));
        desired.update();
        desired
    }

    fn refusal(problem: ProblemType, detail: &str, uid: Option<u128>) -> ControlError {
        let (type_uri, title) = (problem.uri(), problem.title().into());
        let problem = Problem { type_uri, title, status: 410, detail: detail.into() };
        ControlError::Refused(ControlProblem { problem, uid: uid.map(Uuid::from_u128) })
    }

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "restante-default-0" }, "status": status }))
            .unwrap()
    }

    #[test]
    fn the_channel_that_a_refusal_names_is_the_culprit() {
        let deleted = refusal(ProblemType::ChannelDeleted, "was deleted", Some(2));
        assert_eq!(refused_channel(&deleted, &desired()).unwrap().uid, Uuid::from_u128(2));
        let invalid = refusal(ProblemType::ChannelInvalid, "limits.bytes is odd", Some(1));
        let refused = refused_channel(&invalid, &desired()).unwrap();
        assert_eq!((refused.uid, &*refused.reason), (Uuid::from_u128(1), "limits.bytes is odd"));
        // The channel left the set while the request was on its way.
        let left = refusal(ProblemType::ChannelDeleted, "was deleted", Some(3));
        assert!(refused_channel(&left, &desired()).is_none());
    }

    #[test]
    fn a_refusal_for_another_reason_blames_no_channel() {
        let full = refusal(ProblemType::StoreFull, &format!("{} does not fit", Uuid::from_u128(2)), None);
        assert!(refused_channel(&full, &desired()).is_none());
        let many = refusal(ProblemType::ChannelInvalid, "channel acme/orders and too many others", None);
        assert!(refused_channel(&many, &desired()).is_none());
        assert!(refused_channel(&ControlError::Unreachable("refused".into()), &desired()).is_none());
    }

    #[test]
    fn only_a_running_pod_with_an_address_is_called() {
        assert!(incarnation(&pod(json!({ "phase": "Running", "podIP": "10.0.0.1" }))).is_some());
        assert!(incarnation(&pod(json!({ "phase": "Pending", "podIP": "10.0.0.1" }))).is_none());
        assert!(incarnation(&pod(json!({ "phase": "Running" }))).is_none());
    }

    #[test]
    fn the_state_of_a_restarted_container_is_unknown() {
        let status = |restarts: i32| {
            let container = json!({
                "name": "broker", "image": "i", "imageID": "i", "ready": true, "restartCount": restarts,
            });
            pod(json!({ "phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [container] }))
        };
        let desired = desired();
        let now = Instant::now();
        let mut link = Link::new("pod".into(), incarnation(&status(0)).unwrap(), now);
        link.update(store(desired.revision()), &desired);
        assert!(!link.notice(incarnation(&status(0)).unwrap()));
        assert_eq!(link.next(&desired, now), Step::Nothing);
        assert!(link.notice(incarnation(&status(1)).unwrap()));
        assert_eq!(link.next(&desired, now), Step::Ask);
    }

    #[test]
    fn after_a_failure_the_pod_is_left_alone_until_the_refused_channel_is_gone() {
        let desired = desired();
        let now = Instant::now();
        let running = pod(json!({ "phase": "Running", "podIP": "10.0.0.1" }));
        let mut link = Link::new("pod".into(), incarnation(&running).unwrap(), now);
        link.failed(refusal(ProblemType::ChannelInvalid, "odd", Some(1)), &desired, now);
        assert_eq!(link.next(&desired, now), Step::Nothing);
        assert!(link.due() > now && link.error.is_some());
        assert_eq!(link.take_refused().unwrap().uid, Uuid::from_u128(1));
        assert!(link.error.is_none());
        assert_eq!(link.next(&desired, now), Step::Ask);
    }

    #[test]
    fn a_pod_that_needs_nothing_any_more_is_not_retried() {
        let mut desired = desired();
        let now = Instant::now();
        let running = pod(json!({ "phase": "Running", "podIP": "10.0.0.1" }));
        let mut link = Link::new("pod".into(), incarnation(&running).unwrap(), now);
        link.update(store(desired.revision()), &desired);
        // A new channel cannot be sent, and is deleted before the next try.
        let change = |desired: &mut Desired, link: &mut Link| {
            desired.update().iter().for_each(|change| link.desired_changed(change));
        };
        desired.set(&channel(3, "new"));
        change(&mut desired, &mut link);
        link.failed(ControlError::Unreachable("refused".into()), &desired, now);
        desired.remove(Uuid::from_u128(3));
        change(&mut desired, &mut link);
        let later = now + RETRY_LONGEST;
        assert!(link.due() < later);
        assert_eq!(link.next(&desired, later), Step::Nothing);
        assert!(link.due() > later && link.error.is_none());
    }
}
