//! The condition Ready of a MessageBroker, and the trouble that prevents it. Pure.
//!
//! The StatefulSet and its pods come from different watches, one of which may be behind. So Ready requires both: the
//! pods must belong to the StatefulSet that was just written, at its last revision, and must use the current claim.

use std::{
    fmt::{self, Display},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ContainerStatus, ObjectReference, PersistentVolumeClaim, Pod},
};
use kube::Resource;
use restante_crds::condition::kind;

use crate::{fleet::availability::ready_condition, names, shared::conditions::Assertion};

/// The pod's label with the revision of its StatefulSet.
const REVISION_LABEL: &str = "controller-revision-hash";

/// The Kubernetes objects of a MessageBroker at one time.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// The MessageBroker's name.
    pub broker: &'a str,
    /// The desired number of pods.
    pub replicas: i32,
    /// The StatefulSet, as returned by the last write.
    pub workload: &'a StatefulSet,
    /// The pods, including pods of an earlier StatefulSet.
    pub pods: &'a [Arc<Pod>],
    pub claim: Option<&'a PersistentVolumeClaim>,
    /// Kubernetes' error, if it could not create the pod.
    pub creation_error: Option<&'a str>,
    /// Why the claim has no volume, if it has none.
    pub unbound: Option<&'a str>,
}

/// A cause, reported by Kubernetes, why a broker is not Ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// The reason of its event.
    pub reason: &'static str,
    /// The description, which does not change while the trouble lasts.
    pub what: String,
    /// Kubernetes' message, which may change.
    pub words: String,
    pub about: ObjectReference,
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.what, self.words)
        }
    }
}

impl Snapshot<'_> {
    fn own_pods(&self) -> impl Iterator<Item = &Pod> {
        let uid = self.workload.metadata.uid.as_deref();
        self.pods.iter().map(Arc::as_ref).filter(move |pod| {
            pod.metadata.owner_references.iter().flatten().any(|owner| Some(owner.uid.as_str()) == uid)
        })
    }

    /// Whether there is no pod. Kubernetes may be unable to create it.
    pub fn lacks_pods(&self) -> bool {
        self.own_pods().next().is_none()
    }

    /// The number of ready pods of the last revision, according to both the StatefulSet and the pods.
    pub fn ready_pods(&self) -> i32 {
        let status = self.workload.status.as_ref();
        let reported = status.and_then(|status| status.ready_replicas).unwrap_or(0);
        let revision = status.and_then(|status| status.update_revision.as_deref());
        let seen = self.own_pods().filter(|pod| {
            let labels = pod.metadata.labels.as_ref();
            let made_of = labels.and_then(|labels| labels.get(REVISION_LABEL)).map(String::as_str);
            pod.metadata.deletion_timestamp.is_none() && made_of == revision && is_ready(pod)
        });
        reported.min(i32::try_from(seen.count()).unwrap_or(i32::MAX))
    }

    /// The condition Ready.
    pub fn assertion(&self) -> Assertion {
        let rollout =
            |message: String| Assertion::fails(kind::READY, "RolloutUnderWay", self.with_trouble(message));
        let name = names::workload(self.broker);
        let generation = self.workload.metadata.generation.unwrap_or_default();
        let status = self.workload.status.clone().unwrap_or_default();
        if self.workload.metadata.deletion_timestamp.is_some() {
            return rollout(format!("StatefulSet {name} is being deleted, and will be recreated"));
        }
        if status.observed_generation.unwrap_or_default() < generation {
            return rollout(format!(
                "StatefulSet {name} was changed, and its controller has not observed the change yet"
            ));
        }
        if status.current_revision != status.update_revision {
            let updated = status.updated_replicas.unwrap_or(0);
            return rollout(format!(
                "the last edit is being rolled out: {updated} of {} pods are updated",
                self.replicas
            ));
        }
        if let Some(message) = self.claim_trouble() {
            return Assertion::fails(kind::READY, "PodsNotReady", self.with_trouble(message));
        }
        let ready = self.ready_pods();
        let message = format!("{ready} of {} pods are ready", self.replicas);
        if ready < self.replicas {
            return Assertion::fails(kind::READY, "PodsNotReady", self.with_trouble(message));
        }
        Assertion::holds(kind::READY, "Ready", message)
    }

    fn claim_trouble(&self) -> Option<String> {
        let name = names::claim(self.broker);
        let Some(claim) = self.claim else { return Some(format!("claim {name} does not exist yet")) };
        if claim.metadata.deletion_timestamp.is_some() {
            return Some(format!("claim {name} is being deleted"));
        }
        let is_older = |pod: &Pod| {
            let (pod, claim) =
                (pod.metadata.creation_timestamp.as_ref(), claim.metadata.creation_timestamp.as_ref());
            pod.zip(claim).is_some_and(|(pod, claim)| pod.0 < claim.0)
        };
        // A StatefulSet creates the claim before the pod. Kubernetes' timestamps have whole seconds only.
        let old = self.own_pods().find(|pod| is_older(pod))?;
        let pod = old.metadata.name.as_deref().unwrap_or_default();
        Some(format!("claim {name} was replaced, but pod {pod} still uses the earlier one: delete the pod"))
    }

    /// The trouble that Kubernetes reports, if any.
    pub fn trouble(&self) -> Option<Trouble> {
        self.own_pods().find_map(trouble).or_else(|| {
            let what = self.creation_error.filter(|_| self.lacks_pods())?.to_owned();
            let about = self.workload.object_ref(&());
            Some(Trouble { reason: "PodNotCreated", what, words: String::new(), about })
        })
    }

    /// A message with the known trouble, or with a command that shows more.
    fn with_trouble(&self, message: String) -> String {
        let unbound = self.unbound.map(|unbound| format!("; {unbound}")).unwrap_or_default();
        match self.trouble() {
            Some(trouble) => format!("{message}: {trouble}{unbound}"),
            None if self.unbound.is_some() => format!("{message}{unbound}"),
            None if self.lacks_pods() => {
                format!("{message}: see `kubectl describe statefulset {}`", names::workload(self.broker))
            }
            None => {
                format!("{message}: see `kubectl describe pod -l {}={}`", names::BROKER_LABEL, self.broker)
            }
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some_and(|condition| condition.status == "True")
}

/// The trouble of a pod, if Kubernetes reports any.
fn trouble(pod: &Pod) -> Option<Trouble> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled" && condition.status == "False" && condition.message.is_some()
    });
    if let Some(message) = unscheduled.and_then(|condition| condition.message.as_deref()) {
        let what = format!("pod {name} is not scheduled");
        let about = pod.object_ref(&());
        return Some(Trouble { reason: "PodNotScheduled", what, words: message.to_owned(), about });
    }
    let (reason, what, words) = status
        .container_statuses
        .iter()
        .flatten()
        .find_map(|container| container_trouble(name, container))?;
    Some(Trouble { reason, what, words, about: pod.object_ref(&()) })
}

fn container_trouble(pod: &str, container: &ContainerStatus) -> Option<(&'static str, String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().map(|message| format!(" ({message})")).unwrap_or_default();
    match reason {
        // The normal states of a starting pod.
        "ContainerCreating" | "PodInitializing" => None,
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            let what = format!("image {} of pod {pod} cannot be pulled", container.image);
            Some(("ImageNotPulled", what, format!("{reason}{message}")))
        }
        _ => {
            let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let code = last.map(|last| format!(", last exit code {}", last.exit_code)).unwrap_or_default();
            Some(("PodNotRunning", format!("pod {pod} is not running"), format!("{reason}{message}{code}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const UID: &str = "5e7";

    fn workload(status: Value) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "restante-main", "uid": UID, "generation": 3 },
            "status": status,
        }))
        .unwrap()
    }

    fn settled() -> StatefulSet {
        workload(json!({
            "replicas": 1, "observedGeneration": 3, "readyReplicas": 1, "updatedReplicas": 1,
            "currentRevision": "b", "updateRevision": "b",
        }))
    }

    fn pod(owner: &str, revision: &str, status: Value) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {
                    "name": "restante-main-0",
                    "creationTimestamp": "2026-01-01T00:00:05Z",
                    "labels": { "controller-revision-hash": revision },
                    "ownerReferences": [
                        { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "restante-main", "uid": owner },
                    ],
                },
                "status": status,
            }))
            .unwrap(),
        )
    }

    fn ready() -> Value {
        json!({ "conditions": [{ "type": "Ready", "status": "True" }] })
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "containerStatuses": [{
            "name": "broker", "image": "broker:2", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": message } },
        }] })
    }

    fn claim(created: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": { "name": "data-restante-main-0", "creationTimestamp": created },
        }))
        .unwrap()
    }

    fn reported(
        workload: &StatefulSet,
        pods: &[Arc<Pod>],
        claim: Option<&PersistentVolumeClaim>,
    ) -> (String, String) {
        let snapshot = Snapshot {
            broker: "main",
            replicas: 1,
            workload,
            pods,
            claim,
            creation_error: None,
            unbound: None,
        };
        let assertion = snapshot.assertion();
        assert_eq!(assertion.holds, assertion.reason == "Ready");
        (assertion.reason, assertion.message)
    }

    fn reason(workload: &StatefulSet, pods: &[Arc<Pod>]) -> String {
        reported(workload, pods, Some(&claim("2026-01-01T00:00:00Z"))).0
    }

    #[test]
    fn one_ready_pod_of_the_last_revision_is_ready() {
        assert_eq!(reason(&settled(), &[pod(UID, "b", ready())]), "Ready");
    }

    #[test]
    fn a_stateful_set_that_is_not_observed_or_is_rolling_out_is_not_ready() {
        let pods = [pod(UID, "b", ready())];
        let mut unseen = settled();
        unseen.metadata.generation = Some(4);
        assert_eq!(reason(&unseen, &pods), "RolloutUnderWay");
        let mut rolling = settled();
        rolling.status.as_mut().unwrap().current_revision = Some("a".into());
        assert_eq!(reason(&rolling, &pods), "RolloutUnderWay");
        assert_eq!(reason(&workload(json!(null)), &pods), "RolloutUnderWay");
    }

    #[test]
    fn pods_of_another_stateful_set_or_revision_do_not_count() {
        assert_eq!(reason(&settled(), &[pod("other", "b", ready())]), "PodsNotReady");
        assert_eq!(reason(&settled(), &[pod(UID, "a", ready())]), "PodsNotReady");
        // The StatefulSet's count is behind.
        assert_eq!(reason(&settled(), &[]), "PodsNotReady");
        assert_eq!(reason(&settled(), &[pod(UID, "b", json!({}))]), "PodsNotReady");
    }

    #[test]
    fn a_pod_with_a_replaced_claim_is_not_ready() {
        let pods = [pod(UID, "b", ready())];
        let (reason, message) = reported(&settled(), &pods, Some(&claim("2026-01-01T00:00:09Z")));
        assert_eq!(reason, "PodsNotReady");
        assert!(message.contains("was replaced"), "{message}");
        assert_eq!(reported(&settled(), &pods, None).0, "PodsNotReady");
        let mut going = claim("2026-01-01T00:00:00Z");
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:09Z")).unwrap();
        assert_eq!(reported(&settled(), &pods, Some(&going)).0, "PodsNotReady");
    }

    #[test]
    fn the_message_names_the_trouble_of_the_pod() {
        let message = |status: Value| {
            reported(&settled(), &[pod(UID, "b", status)], Some(&claim("2026-01-01T00:00:00Z"))).1
        };
        let image = message(waiting("ImagePullBackOff", "back-off"));
        assert!(
            image.contains("image broker:2 of pod restante-main-0 cannot be pulled: ImagePullBackOff"),
            "{image}"
        );
        let crash = message(waiting("CrashLoopBackOff", "back-off"));
        assert!(crash.contains("is not running: CrashLoopBackOff (back-off)"), "{crash}");
        let unscheduled = json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes" },
        ] });
        assert!(message(unscheduled).contains("is not scheduled: 0/1 nodes"));
        let starting = message(waiting("ContainerCreating", ""));
        assert!(starting.ends_with("see `kubectl describe pod -l restante.dev/broker=main`"), "{starting}");
    }

    #[test]
    fn the_message_says_why_no_pod_was_created() {
        let (workload, claim) = (settled(), claim("2026-01-01T00:00:00Z"));
        let mut snapshot = Snapshot {
            broker: "main",
            replicas: 1,
            workload: &workload,
            pods: &[],
            claim: Some(&claim),
            creation_error: None,
            unbound: None,
        };
        let unknown = snapshot.assertion().message;
        assert!(unknown.ends_with("see `kubectl describe statefulset restante-main`"), "{unknown}");
        snapshot.creation_error = Some("exceeded quota");
        assert_eq!(snapshot.assertion().message, "0 of 1 pods are ready: exceeded quota");
        assert_eq!(snapshot.trouble().unwrap().reason, "PodNotCreated");
        snapshot.unbound = Some("the claim has no volume");
        let both = "0 of 1 pods are ready: exceeded quota; the claim has no volume";
        assert_eq!(snapshot.assertion().message, both);
    }
}
