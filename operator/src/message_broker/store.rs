//! Whether a broker still has the data folder that it had. Another one is another disk, or a restored one: what was stored
//! in the old is not there, and nobody but a person knows whether that is meant. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use restante_crds::{
    ACCEPT_STORE,
    condition::{self, kind},
};

use crate::conditions::Assertion;

/// Characters of the annotation that are repeated: those of an id, and a few more that are wrong.
const ID_CHARACTERS_MAX: usize = 40;

/// Which store a MessageBroker has, and whether it is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The store that it should have: the first that was seen, or the last that was accepted.
    pub id: Option<String>,
    /// The condition StoreReplaced.
    pub replaced: Option<Assertion>,
}

/// Compares the store that the pods show, if they were heard and agree, with the one of the status.
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
        // Nobody was heard: what was last told stays.
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
        None => same(shown, "SameStore", "the broker has the store that it had"),
        Some(known) if known == shown => same(known, "SameStore", "the broker has the store that it had"),
        Some(_) if accepted == Some(shown) => {
            same(shown, "Accepted", &format!("store {shown} was accepted by annotation {ACCEPT_STORE}"))
        }
        Some(known) => {
            let since = old.filter(|old| old.status == "True").map_or(now, |old| old.last_transition_time.0);
            let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
            let message = format!(
                "since {since} the broker shows store {shown} instead of {known}: the volume was replaced or restored, \
                 and messages that only the earlier store has are not delivered. Put the earlier volume back, or accept \
                 this one with `kubectl -n {namespace} annotate messagebroker {broker} --overwrite {ACCEPT_STORE}={shown}`{}",
                ignored_annotation(accepted.filter(|accepted| *accepted != known))
            );
            Store {
                id: Some(known.to_owned()),
                replaced: Some(Assertion::holds(kind::STORE_REPLACED, "AnotherStore", message)),
            }
        }
    }
}

/// That the annotation accepts another store than the broker shows.
fn ignored_annotation(accepted: Option<&str>) -> String {
    let Some(accepted) = accepted else { return String::new() };
    let id: String = accepted.chars().take(ID_CHARACTERS_MAX).collect();
    format!(
        ". Its annotation {ACCEPT_STORE} is {id:?} and accepts nothing, as it is not the id of the store that is shown"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::conditions;

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
        let told = other.replaced.clone().unwrap();
        assert!(told.holds && told.message.contains("store b instead of a"), "{told:?}");
        let command = "`kubectl -n mq annotate messagebroker main --overwrite restante.dev/accept-store=b`";
        assert!(told.message.ends_with(command), "{told:?}");
        // Observation once and for all of what follows, while nobody is heard as well.
        assert_eq!(
            after(&other, Some("b"), None, 30).replaced.unwrap().message.find("since 1970-01-01T00:00:10Z"),
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
                && ignored_annotation
                    .message
                    .contains("restante.dev/accept-store is \"c\" and accepts nothing")
        );
        let accepted = after(&other, Some("b"), Some("b"), 30);
        assert_eq!(accepted.id.as_deref(), Some("b"));
        assert!(!accepted.replaced.clone().unwrap().holds);
        // The annotation stays, and accepts nothing else.
        let third = after(&accepted, Some("c"), Some("b"), 40).replaced.unwrap();
        assert!(third.holds && !third.message.contains("accepts nothing"), "{third:?}");
    }
}
