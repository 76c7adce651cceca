//! Who wins when two channels of one broker claim the same name, source or destination.
//!
//! The older one does, then the one with the smaller UID, so that every observer decides alike and no edit of a younger
//! channel can take an address from an older one. A loser claims nothing: its other addresses are free.

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;
use restante_wire::{Address, ChannelConfig};

/// A channel that wants to be programmed.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// What it claims.
    pub config: &'a ChannelConfig,
    /// `metadata.creationTimestamp`. Absent (in a manifest) is younger than any.
    pub created: Option<Timestamp>,
}

/// Why a channel lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {what} is taken by the older MessageChannel {winner}: {}", .reason.noun(), .reason.remedy())]
pub struct Conflict {
    /// What is taken.
    pub reason: ConflictReason,
    /// The name or the address that is taken.
    pub what: String,
    /// `namespace/name` of the channel that has it.
    pub winner: String,
}

/// What two channels claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictReason {
    /// The same namespace and name.
    NameTaken,
    /// The same source.
    SourceTaken,
    /// The same destination.
    DestinationTaken,
}

impl ConflictReason {
    /// The reason as a condition has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameTaken => "NameTaken",
            Self::SourceTaken => "SourceTaken",
            Self::DestinationTaken => "DestinationTaken",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::NameTaken => "name",
            Self::SourceTaken => "source",
            Self::DestinationTaken => "destination",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::NameTaken => "give this channel another name",
            Self::SourceTaken => "give this channel another spec.source, or delete the other channel",
            Self::DestinationTaken => {
                "give this channel other spec.destinations, or delete the other channel"
            }
        }
    }
}

/// Judges the channels of one broker: for each claim, in the order given, why it lost, or `None` when it won.
pub fn judge(claims: &[Claim<'_>]) -> Vec<Option<Conflict>> {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    // `None` sorts before any timestamp, so absence is said first. The sort is stable: the first given wins at the end.
    order.sort_by_key(|&index| {
        let Claim { config, created } = &claims[index];
        (created.is_none(), *created, config.uid)
    });
    let mut taken = Taken::default();
    let mut verdicts = vec![None; claims.len()];
    for index in order {
        let config = claims[index].config;
        verdicts[index] = taken.conflict(config);
        if verdicts[index].is_none() {
            taken.add(config);
        }
    }
    verdicts
}

/// What the winners so far have.
#[derive(Default)]
struct Taken<'a> {
    names: HashMap<(&'a str, &'a str), &'a ChannelConfig>,
    sources: HashMap<&'a Address, &'a ChannelConfig>,
    destinations: HashMap<&'a Address, &'a ChannelConfig>,
}

impl<'a> Taken<'a> {
    fn conflict(&self, config: &ChannelConfig) -> Option<Conflict> {
        let lost = |reason, what: &str, winner: &ChannelConfig| {
            Some(Conflict { reason, what: what.to_owned(), winner: winner.qualified_name() })
        };
        if let Some(winner) = self.names.get(&(config.namespace.as_str(), config.name.as_str())) {
            return lost(ConflictReason::NameTaken, &config.qualified_name(), winner);
        }
        if let Some(winner) = self.sources.get(&config.source) {
            return lost(ConflictReason::SourceTaken, config.source.as_str(), winner);
        }
        config.destinations.iter().find_map(|destination| {
            let winner = self.destinations.get(destination)?;
            lost(ConflictReason::DestinationTaken, destination.as_str(), winner)
        })
    }

    fn add(&mut self, config: &'a ChannelConfig) {
        self.names.insert((&config.namespace, &config.name), config);
        self.sources.insert(&config.source, config);
        self.destinations.extend(config.destinations.iter().map(|destination| (destination, config)));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn config(uid: u128, name: &str, destination: &str, source: &str) -> ChannelConfig {
        ChannelConfig {
            destinations: vec![Address::new("acme", destination).unwrap()],
            ..ChannelConfig::new(Uuid::from_u128(uid), "acme", name, Address::new("acme", source).unwrap())
        }
    }

    fn claim(config: &ChannelConfig, second: Option<i64>) -> Claim<'_> {
        Claim { config, created: second.map(|second| Timestamp::from_second(second).unwrap()) }
    }

    fn reasons(claims: &[Claim<'_>]) -> Vec<Option<ConflictReason>> {
        judge(claims).into_iter().map(|verdict| verdict.map(|conflict| conflict.reason)).collect()
    }

    #[test]
    fn the_older_channel_wins_in_whatever_order_they_come() {
        let (old, young) = (config(2, "old", "a", "x"), config(1, "young", "b", "x"));
        let taken = Some(ConflictReason::SourceTaken);
        assert_eq!(reasons(&[claim(&old, Some(1)), claim(&young, Some(2))]), [None, taken]);
        assert_eq!(reasons(&[claim(&young, Some(2)), claim(&old, Some(1))]), [taken, None]);
    }

    #[test]
    fn a_channel_without_an_age_is_the_youngest() {
        let (aged, ageless) = (config(2, "aged", "a", "x"), config(1, "ageless", "b", "x"));
        let verdicts = reasons(&[claim(&ageless, None), claim(&aged, Some(2))]);
        assert_eq!(verdicts, [Some(ConflictReason::SourceTaken), None]);
    }

    #[test]
    fn of_two_born_in_one_second_the_smaller_uid_wins() {
        let (small, large) = (config(1, "small", "a", "x"), config(2, "large", "a", "y"));
        let verdicts = judge(&[claim(&large, Some(1)), claim(&small, Some(1))]);
        let lost = verdicts[0].as_ref().unwrap();
        assert_eq!((lost.reason, lost.winner.as_str()), (ConflictReason::DestinationTaken, "acme/small"));
        assert!(
            lost.to_string()
                .starts_with("destination acme/a is taken by the older MessageChannel acme/small")
        );
        assert_eq!(verdicts[1], None);
    }

    #[test]
    fn a_loser_takes_nothing_from_others() {
        let first = config(1, "first", "a", "x");
        let loser = config(2, "loser", "b", "x");
        let third = config(3, "third", "b", "z");
        let claims = [claim(&first, Some(1)), claim(&loser, Some(2)), claim(&third, Some(3))];
        assert_eq!(reasons(&claims), [None, Some(ConflictReason::SourceTaken), None]);
    }

    #[test]
    fn the_same_name_twice_is_a_conflict_even_under_one_uid() {
        let (one, again) = (config(1, "orders", "a", "x"), config(1, "orders", "b", "y"));
        let verdicts = reasons(&[claim(&one, None), claim(&again, None)]);
        assert_eq!(verdicts, [None, Some(ConflictReason::NameTaken)]);
    }

    #[test]
    fn a_destination_of_one_may_be_the_source_of_another() {
        let (there, back) = (config(1, "there", "left", "right"), config(2, "back", "right", "left"));
        assert_eq!(reasons(&[claim(&there, None), claim(&back, None)]), [None, None]);
    }
}
