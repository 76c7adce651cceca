//! The condition StoreReplaced: whether a broker still has its data folder. Another data folder is another disk, or a
//! restored one. Messages of the old one are missing there, and only a person knows whether that is intended. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use restante_crds::{
    ACCEPT_STORE,
    condition::{self, kind},
};

use crate::shared::conditions::Assertion;

/// The limit of quoted characters of the annotation: an id has 36.
const ID_CHARACTERS_MAX: usize = 40;

/// The expected store of a MessageBroker, and whether it was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The id of the expected store: the first one seen, or the last one accepted.
    pub id: Option<String>,
    /// The condition StoreReplaced.
    pub replaced: Option<Assertion>,
}

/// Compares the store of the pods with the one in the status. `shown` is `None` if no pod answered, or they differ.
pub fn compare(
    (namespace, broker): (&str, &str),
    known: Option<&str>,
    shown: Option<&str>,
    accepted: Option<&str>,
    old: &[Condition],
    now: Timestamp,
) -> Store {
    let old = condition::find(old, kind::STORE_REPLACED);
    let Some(shown) = shown else {
        // No pod answered: the condition stays.
        let replaced = old.map(|old| Assertion {
            kind: kind::STORE_REPLACED,
            holds: old.status == "True",
            reason: old.reason.clone(),
            message: old.message.clone(),
        });
        return Store { id: known.map(str::to_owned), replaced };
    };
    let same = |id: &str, reason: &str, message: &str| Store {
        id: Some(id.to_owned()),
        replaced: Some(Assertion::fails(kind::STORE_REPLACED, reason, message)),
    };
    match known {
        None => same(shown, "SameStore", "the broker has the expected store"),
        Some(known) if known == shown => same(known, "SameStore", "the broker has the expected store"),
        Some(_) if accepted == Some(shown) => {
            same(shown, "Accepted", &format!("store {shown} was accepted by the annotation {ACCEPT_STORE}"))
        }
        Some(known) => {
            let since = old.filter(|old| old.status == "True").map_or(now, |old| old.last_transition_time.0);
            let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
            let message = format!(
                "since {since}, the broker has store {shown} instead of {known}: the volume was replaced or restored, and \
                 messages that are only in the earlier store are not delivered. Restore the earlier volume, or accept the new \
                 store with `kubectl -n {namespace} annotate messagebroker {broker} --overwrite {ACCEPT_STORE}={shown}`{}",
                ignored_annotation(accepted.filter(|accepted| *accepted != known))
            );
            Store {
                id: Some(known.to_owned()),
                replaced: Some(Assertion::holds(kind::STORE_REPLACED, "AnotherStore", message)),
            }
        }
    }
}

/// A note that the annotation names another store than the broker has.
fn ignored_annotation(accepted: Option<&str>) -> String {
    let Some(accepted) = accepted else { return String::new() };
    let id: String = accepted.chars().take(ID_CHARACTERS_MAX).collect();
    format!(". The current annotation {ACCEPT_STORE}={id:?} is ignored, because the broker has another store")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::conditions::conditions;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(first: &Store, shown: Option<&str>, accepted: Option<&str>, second: i64) -> Store {
        let old = conditions(&[], Some(1), at(10), first.replaced.clone());
        compare(("mq", "main"), first.id.as_deref(), shown, accepted, &old, at(second))
    }

    fn first() -> Store {
        compare(("mq", "main"), None, Some("a"), None, &[], at(10))
    }

    #[test]
    fn the_first_store_is_the_known_one() {
        assert_eq!(first().id.as_deref(), Some("a"));
        assert!(!first().replaced.unwrap().holds);
        assert_eq!(
            compare(("mq", "main"), None, None, None, &[], at(10)),
            Store { id: None, replaced: None }
        );
    }

    #[test]
    fn a_replaced_store_is_reported_until_the_old_one_is_back() {
        let other = after(&first(), Some("b"), None, 20);
        assert_eq!(other.id.as_deref(), Some("a"));
        let reported = other.replaced.clone().unwrap();
        assert!(reported.holds && reported.message.contains("store b instead of a"), "{reported:?}");
        let command = "`kubectl -n mq annotate messagebroker main --overwrite restante.dev/accept-store=b`";
        assert!(reported.message.ends_with(command), "{reported:?}");
        // The time stays the same, also while no pod answers.
        assert_eq!(
            after(&other, Some("b"), None, 30).replaced.unwrap().message.find("since 1970-01-01T00:00:10Z,"),
            Some(0)
        );
        assert!(after(&other, None, None, 30).replaced.unwrap().holds);
        let back = after(&other, Some("a"), None, 40);
        assert!(!back.replaced.unwrap().holds);
    }

    #[test]
    fn a_store_is_accepted_only_by_its_id() {
        let other = after(&first(), Some("b"), None, 20);
        let ignored_annotation = after(&other, Some("b"), Some("c"), 30).replaced.unwrap();
        assert!(
            ignored_annotation.holds
                && ignored_annotation.message.contains("restante.dev/accept-store=\"c\" is ignored")
        );
        let accepted = after(&other, Some("b"), Some("b"), 30);
        assert_eq!(accepted.id.as_deref(), Some("b"));
        assert!(!accepted.replaced.clone().unwrap().holds);
        // The annotation stays, and accepts no other store.
        let third = after(&accepted, Some("c"), Some("b"), 40).replaced.unwrap();
        assert!(third.holds && !third.message.contains("is ignored"), "{third:?}");
    }
}
