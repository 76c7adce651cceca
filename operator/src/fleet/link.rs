//! The link to one pod: synchronizes its address store, with retries.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use restante_wire::{ProblemType, Revision, control::StoreState};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    FleetContext,
    control::{Control, ControlError},
    desired::Desired,
    plan::{PodState, Step},
};
use crate::{
    metrics::{Metrics, result_label},
    shared::jitter,
};

/// The interval between two periodic complete sets, which repair undetected differences within five minutes.
const SYNC_INTERVAL: Duration = Duration::from_secs(300);
/// The wait after the first failure: a container listens a moment after its start.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest wait after failures.
const RETRY_LONGEST: Duration = Duration::from_secs(30);
/// Consecutive steps before other pods and commands get their turn: ask, send, and both again if another process wrote.
const STEPS_MAX: usize = 4;

/// A Running pod of a broker.
#[derive(Debug)]
pub(super) struct Link {
    /// The name of the pod.
    pub(super) pod: String,
    incarnation: Incarnation,
    pub(super) known: PodState,
    pub(super) error: Option<ControlError>,
    failures: u32,
    retry_at: Option<Instant>,
    sync_at: Instant,
}

/// Identifies the broker's process in a pod. A new address or a restarted container may be a new process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incarnation {
    pub(super) address: IpAddr,
    container: Option<String>,
    restarts: i32,
}

/// A channel that the broker refuses, and the broker's error.
#[derive(Debug)]
pub(super) struct RefusedChannel {
    pub(super) uid: Uuid,
    pub(super) reason: String,
}

/// The incarnation of a pod that can be called: Running, with an address, and not terminating.
pub(super) fn incarnation(pod: &Pod) -> Option<Incarnation> {
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
            known: PodState::default(),
            error: None,
            failures: 0,
            retry_at: None,
            sync_at: now + jitter::around(SYNC_INTERVAL),
        }
    }

    /// Updates the incarnation. The state of a new process is unknown.
    pub(super) fn notice(&mut self, incarnation: Incarnation) {
        if self.incarnation != incarnation {
            self.incarnation = incarnation;
            self.known = PodState::default();
            self.retry_at = None;
            self.failures = 0;
        }
    }

    /// When this pod needs the next turn.
    pub(super) fn due(&self) -> Instant {
        self.retry_at.unwrap_or(self.sync_at)
    }

    pub(super) fn control(&self, http: &reqwest::Client, token: &str) -> Control {
        Control::new(http.clone(), self.incarnation.address, token.to_owned())
    }

    /// Synchronizes the pod with the desired channels. Returns the channel that the broker refuses, if any.
    pub(super) async fn synchronize(
        &mut self,
        control: &Control,
        desired: &Desired,
        context: &FleetContext,
        now: Instant,
    ) -> Option<RefusedChannel> {
        let FleetContext { metrics, unsent, .. } = context;
        if self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let mut periodic = self.sync_at <= now;
        for _ in 0..STEPS_MAX {
            let step = match self.known.next(desired) {
                Step::Nothing | Step::Put(_) if periodic => Step::Sync,
                step => step,
            };
            if step == Step::Nothing {
                unsent.send(desired);
                break;
            }
            // Recorded before anything is sent, or when the pod already has the channels. A pod that never answered was
            // sent nothing.
            if step != Step::Ask {
                unsent.send(desired);
            }
            let result = match step {
                Step::Nothing => break,
                Step::Ask => control.revision().await.map(|store| self.known.update(store, desired)),
                Step::Sync => {
                    periodic = false;
                    self.sync(control, desired, metrics, now).await
                }
                Step::Put(changed) => {
                    let mut result = Ok(());
                    for config in changed {
                        let answer = control.put(&config).await;
                        metrics.puts.with_label_values(&[result_label(&answer)]).inc();
                        match answer {
                            Ok(store) => {
                                self.known.channels.get_or_insert_default().insert(config.uid, config);
                                self.known.store = Some(store);
                            }
                            // Two channels swapped addresses. Only a complete set can express that.
                            Err(error) if error.problem_type() == Some(ProblemType::ChannelConflict) => {
                                self.known.channels = None;
                                break;
                            }
                            Err(error) => {
                                result = Err(error);
                                break;
                            }
                        }
                    }
                    result
                }
            };
            match result {
                Ok(()) => {
                    self.failures = 0;
                    self.retry_at = None;
                    self.error = None;
                }
                Err(error) => return self.failed(error, desired, now),
            }
        }
        None
    }

    async fn sync(
        &mut self,
        control: &Control,
        desired: &Desired,
        metrics: &Metrics,
        now: Instant,
    ) -> Result<(), ControlError> {
        let before = self.known.store.as_ref().map(|store| store.revision);
        let answer = control.sync(desired.channels().values()).await;
        metrics.syncs.with_label_values(&[result_label(&answer)]).inc();
        let store = answer?;
        self.sync_at = now + jitter::around(SYNC_INTERVAL);
        tracing::info!(
            pod = self.pod, channels = desired.channels().len(), orphans = store.orphans,
            from = %before.unwrap_or_default(), to = %store.revision, "sent the complete set of channels"
        );
        self.known.channels = Some(desired.channels().clone());
        self.known.store = Some(store);
        Ok(())
    }

    fn failed(&mut self, error: ControlError, desired: &Desired, now: Instant) -> Option<RefusedChannel> {
        self.failures = self.failures.saturating_add(1);
        let wait = RETRY_FIRST.saturating_mul(1 << (self.failures - 1).min(10)).min(RETRY_LONGEST);
        self.retry_at = Some(now + jitter::around(wait));
        tracing::warn!(pod = self.pod, failures = self.failures, %error, "cannot program the broker pod");
        let refused = refused_channel(&error, desired);
        if refused.is_some() {
            // Without the refused channel, the next try may succeed.
            self.retry_at = None;
        }
        self.error = Some(error);
        refused
    }

    /// Records the store's state from an inspection, and returns whether it has drifted from the programmed state.
    pub(super) fn update_state(&mut self, store: StoreState, desired: &Desired) -> bool {
        let was_in_line = self.known.next(desired) == Step::Nothing;
        self.known.update(store, desired);
        was_in_line && self.known.next(desired) != Step::Nothing
    }

    /// The last known revision of the pod.
    pub(super) fn revision(&self) -> Option<Revision> {
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
    use std::collections::HashSet;

    use restante_wire::{Problem, control::ControlProblem};
    use serde_json::{Value, json};

    use super::*;

    fn desired() -> Desired {
        let channel = |number: u128, name: &str| {
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
        };
        let mut desired = Desired::default();
        desired.update(&[channel(1, "orders"), channel(2, "orders-old")], &HashSet::new());
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
        let mut link = Link::new("pod".into(), incarnation(&status(0)).unwrap(), Instant::now());
        link.known.channels = Some(desired().channels().clone());
        link.notice(incarnation(&status(0)).unwrap());
        assert!(link.known.channels.is_some());
        link.notice(incarnation(&status(1)).unwrap());
        assert!(link.known.channels.is_none());
    }
}
