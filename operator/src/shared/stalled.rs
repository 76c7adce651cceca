//! The condition Stalled, which tells `kstatus` (kubectl, Argo CD, Flux) to stop waiting. Pure, except for the memory
//! of when a failure began.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta},
    jiff::{SignedDuration, Timestamp},
};
use restante_crds::condition::kind;

use crate::shared::conditions::Assertion;

/// How long a resource waits for another one before it is stalled. Resources that are applied together exist within
/// seconds.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// What can end a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Only an edit of this resource.
    Edit,
    /// The creation, deletion or change of another resource.
    OtherResource,
    /// Time: an operation is in progress.
    Time,
}

/// Whether a resource is stalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// The condition, if the resource is stalled; otherwise it is absent.
    pub condition: Option<Assertion>,
    /// The time until the resource is stalled, if nothing happens before.
    pub after: Option<Duration>,
}

impl Stalled {
    pub const NONE: Self = Self { condition: None, after: None };
}

/// Decides whether a failure that began at `since` stalls the resource.
fn stalled(failure: &Assertion, remedy: Remedy, since: Timestamp, now: Timestamp) -> Stalled {
    let left = match remedy {
        Remedy::Edit => SignedDuration::ZERO,
        Remedy::OtherResource => PATIENCE - now.duration_since(since),
        Remedy::Time => return Stalled::NONE,
    };
    if left > SignedDuration::ZERO {
        // Times are stored in whole seconds. One second more avoids a reconcile that comes a moment too early.
        let left = left.min(PATIENCE) + SignedDuration::from_secs(1);
        return Stalled { condition: None, after: Some(left.unsigned_abs()) };
    }
    Stalled {
        condition: Some(Assertion::holds(kind::STALLED, &failure.reason, failure.message.clone())),
        after: None,
    }
}

/// When the current generation of each resource began to fail, by UID. `lastTransitionTime` does not show this: it does
/// not change when an edit leads from one failure to another, but an edit restarts the wait.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<String, (i64, Timestamp)>>);

impl Failures {
    /// When a generation began to fail. `reported` is the time in the status for the same generation, because the
    /// operator may have restarted since then.
    fn since(&self, uid: &str, generation: i64, reported: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failures.get(uid).filter(|(known, _)| *known == generation).map(|(_, since)| *since);
        let since = match (known, failures.contains_key(uid)) {
            (Some(since), _) => since,
            (None, true) => now,
            (None, false) => reported.unwrap_or(now),
        };
        failures.insert(uid.to_owned(), (generation, since));
        since
    }

    /// Decides whether a failure stalls a resource. `reported` is the condition that already reports the failure, if
    /// any.
    pub fn assess(
        &self,
        metadata: &ObjectMeta,
        reported: Option<&Condition>,
        (failure, remedy): (&Assertion, Remedy),
        now: Timestamp,
    ) -> Stalled {
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let reported = reported
            .filter(|reported| {
                reported.status == "False" && reported.observed_generation == metadata.generation
            })
            .map(|reported| reported.last_transition_time.0);
        let since = self.since(uid, metadata.generation.unwrap_or_default(), reported, now);
        stalled(failure, remedy, since, now)
    }

    /// Forgets a resource that has recovered or is deleted.
    pub fn clear(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn assessed(remedy: Remedy, second: i64) -> (Option<String>, Option<u64>) {
        let failure = Assertion::fails(kind::READY, "SourceTaken", "taken");
        let Stalled { condition, after } = stalled(&failure, remedy, at(1_000), at(second));
        (condition.map(|one| format!("{} {}", one.kind, one.reason)), after.map(|after| after.as_secs()))
    }

    #[test]
    fn a_failure_that_needs_an_edit_is_stalled_at_once() {
        assert_eq!(assessed(Remedy::Edit, 1_000), (Some("Stalled SourceTaken".into()), None));
    }

    #[test]
    fn a_failure_that_another_resource_remedies_is_stalled_after_two_minutes() {
        assert_eq!(assessed(Remedy::OtherResource, 1_000), (None, Some(121)));
        assert_eq!(assessed(Remedy::OtherResource, 1_119), (None, Some(2)));
        assert_eq!(assessed(Remedy::OtherResource, 1_120), (Some("Stalled SourceTaken".into()), None));
        // A clock that was set back does not extend the wait.
        assert_eq!(assessed(Remedy::OtherResource, 0), (None, Some(121)));
    }

    #[test]
    fn a_failure_that_passes_with_time_is_never_stalled() {
        assert_eq!(assessed(Remedy::Time, 9_999), (None, None));
    }

    #[test]
    fn an_edit_restarts_the_wait_and_a_restart_of_the_operator_does_not() {
        let failures = Failures::default();
        assert_eq!(failures.since("a", 1, Some(at(5)), at(90)), at(5));
        assert_eq!(failures.since("a", 1, Some(at(5)), at(95)), at(5));
        assert_eq!(failures.since("a", 2, Some(at(5)), at(99)), at(99));
        assert_eq!(failures.since("a", 2, Some(at(5)), at(100)), at(99));
        failures.clear("a");
        assert_eq!(failures.since("a", 2, None, at(200)), at(200));
    }
}
