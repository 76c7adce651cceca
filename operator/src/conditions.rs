//! Conditions as the API conventions want them. Pure.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use restante_crds::condition::{self, kind};

/// A condition before it is compared with the one of the same type that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The type.
    pub kind: &'static str,
    /// True or False.
    pub holds: bool,
    /// One word that programs compare.
    pub reason: String,
    /// A sentence for people: what is, and what to do.
    pub message: String,
}

impl Assertion {
    /// A condition that holds.
    pub fn holds(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason: reason.into(), message: message.into() }
    }

    /// A condition that does not.
    pub fn fails(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason: reason.into(), message: message.into() }
    }
}

/// The whole list of conditions. `lastTransitionTime` is kept where the status did not change, so that a list that says
/// nothing new is equal to the old one.
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

/// The conditions that say something else than they did. A message may count, and says something else only where a
/// resource is not accepted or not ready: then it names another one, such as the winner of another conflict, or a child.
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

/// Whether a condition is there and holds.
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
