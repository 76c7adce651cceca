//! Builds conditions as the API conventions require. Pure.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use restante_crds::condition::{self, kind};

/// A condition without its transition time, which depends on the existing condition of the same type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The condition's type.
    pub kind: &'static str,
    /// Whether the status is True; otherwise it is False.
    pub holds: bool,
    /// One word, for programs.
    pub reason: String,
    /// For people: the state, and what to do.
    pub message: String,
}

impl Assertion {
    /// A condition with status True.
    pub fn holds(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason: reason.into(), message: message.into() }
    }

    /// A condition with status False.
    pub fn fails(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason: reason.into(), message: message.into() }
    }
}

/// The complete list of conditions. A condition whose status did not change keeps its `lastTransitionTime`, so that an
/// unchanged list is equal to the old one.
pub fn conditions(
    old: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
    asserted: impl IntoIterator<Item = Assertion>,
) -> Vec<Condition> {
    // Whole seconds, as an API server stores them.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    asserted
        .into_iter()
        .map(|assertion| {
            let status = if assertion.holds { "True" } else { "False" };
            let since = condition::find(old, assertion.kind)
                .filter(|condition| condition.status == status)
                .map_or(Time(now), |condition| condition.last_transition_time.clone());
            Condition {
                type_: assertion.kind.into(),
                status: status.into(),
                reason: assertion.reason,
                message: assertion.message,
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// Replaces the condition of the same type in a list, or adds it.
pub fn replace(list: &mut Vec<Condition>, condition: Condition) {
    match list.iter_mut().find(|one| one.type_ == condition.type_) {
        Some(place) => *place = condition,
        None => list.push(condition),
    }
}

/// The conditions that changed: their status or reason, or, for Accepted and Ready with status False, their message.
/// There a new message names another resource, such as the winner of another conflict, or a child. Messages of other
/// conditions may contain counts, whose changes do not matter.
pub fn transitions<'a>(old: &'a [Condition], new: &'a [Condition]) -> impl Iterator<Item = &'a Condition> {
    new.iter().filter(|new| {
        condition::find(old, &new.type_).is_none_or(|old| {
            let names_another = [kind::ACCEPTED, kind::READY].contains(&new.type_.as_str())
                && new.status == "False"
                && old.message != new.message;
            old.status != new.status || old.reason != new.reason || names_another
        })
    })
}

/// Whether a condition exists and is True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    condition::find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(old: &[Condition], second: i64, holds: bool, reason: &str) -> Vec<Condition> {
        let assertion = Assertion { kind: "Ready", holds, reason: reason.into(), message: "m".into() };
        conditions(old, Some(1), at(second), [assertion])
    }

    #[test]
    fn unchanged_conditions_are_equal_to_the_old_ones() {
        let first = ready(&[], 10, true, "Ready");
        assert_eq!(ready(&first, 20, true, "Ready"), first);
        assert_eq!(transitions(&first, &first).count(), 0);
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let first = ready(&[], 10, false, "A");
        let other_reason = ready(&first, 20, false, "B");
        assert_eq!(other_reason[0].last_transition_time, Time(at(10)));
        assert_eq!(transitions(&first, &other_reason).count(), 1);
        assert_eq!(ready(&first, 30, true, "B")[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn fractions_of_seconds_are_dropped() {
        let now = Timestamp::from_millisecond(1_500).unwrap();
        let made = conditions(&[], None, now, [Assertion::holds("Ready", "Ready", "")]);
        assert_eq!(made[0].last_transition_time, Time(at(1)));
    }
}
