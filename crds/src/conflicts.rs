//! Decides which channel wins when two channels of one broker claim the same name, source or destination.
//!
//! The older channel wins; of two channels of the same second, the one with the smaller UID. So every observer decides
//! alike, and no edit of a younger channel can take an address from an older one. A losing channel claims nothing: its
//! other addresses stay free.
//!
//! Several channels may have the same destination if all of them set `sharedDestination`. Otherwise the younger channel
//! loses, as with any other claim.

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;
use restante_wire::{Address, ChannelConfig, channel::SHARED_DESTINATION_CHANNELS_MAX};

/// The claim of a channel to its name and addresses.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The channel, with its name and addresses.
    pub config: &'a ChannelConfig,
    /// `metadata.creationTimestamp`. Without one (in a manifest), a channel counts as younger than all others.
    pub created: Option<Timestamp>,
}

/// The reason why a channel lost, and to which channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {claimed} is {}: {}", .reason.noun(), self.state(), .reason.remedy())]
pub struct Conflict {
    /// The kind of conflict.
    pub reason: ConflictReason,
    /// The name or the address that both claim.
    pub claimed: String,
    /// `namespace/name` of the channel that won it; of several, of the oldest.
    pub winner: String,
    /// Whether the winner is older. If not, both were created in the same second, and the winner has the smaller UID.
    pub is_older: bool,
}

impl Conflict {
    fn state(&self) -> String {
        let Self { reason, winner, .. } = self;
        match reason {
            ConflictReason::DestinationFull => {
                format!(
                    "shared by {SHARED_DESTINATION_CHANNELS_MAX} channels, the limit, among them MessageChannel {winner}"
                )
            }
            _ if self.is_older => format!("taken by the older MessageChannel {winner}"),
            _ => format!(
                "taken by MessageChannel {winner}, which was created in the same second and has the smaller UID"
            ),
        }
    }
}

/// Kinds of conflict between two channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictReason {
    /// The same namespace and name.
    NameTaken,
    /// The same source.
    SourceTaken,
    /// The same destination, which at least one of them does not share.
    DestinationTaken,
    /// A shared destination whose limit of channels is reached.
    DestinationFull,
}

impl ConflictReason {
    /// The reason in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameTaken => "NameTaken",
            Self::SourceTaken => "SourceTaken",
            Self::DestinationTaken => "DestinationTaken",
            Self::DestinationFull => "DestinationFull",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::NameTaken => "name",
            Self::SourceTaken => "source",
            Self::DestinationTaken | Self::DestinationFull => "destination",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::NameTaken => "give this channel another name",
            Self::SourceTaken => "give this channel another spec.source, or delete the other channel",
            Self::DestinationTaken => {
                "give this channel other spec.destinations, delete the other channel, or set spec.sharedDestination \
                 in both to store each message in both"
            }
            Self::DestinationFull => {
                "give this channel other spec.destinations, or delete a channel that shares this one"
            }
        }
    }
}

/// Decides the claims of one broker's channels: for each claim, in the order given, why it lost, or `None` if it won.
pub fn resolve(claims: &[Claim<'_>]) -> Vec<Option<Conflict>> {
    let mut taken = Taken::default();
    let mut results = vec![None; claims.len()];
    for index in by_age(claims) {
        results[index] = taken.conflict(&claims[index]);
        if results[index].is_none() {
            taken.add(&claims[index]);
        }
    }
    results
}

/// The indices of the claims, oldest first.
pub(crate) fn by_age(claims: &[Claim<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    // `None` sorts before any timestamp, so the first key is whether it is absent. The sort is stable: if all keys are
    // equal, the first claim of the slice wins.
    order.sort_by_key(|&index| {
        let Claim { config, created } = &claims[index];
        (created.is_none(), *created, config.uid)
    });
    order
}

/// The names and addresses of the winners so far.
#[derive(Default)]
struct Taken<'a> {
    names: HashMap<(&'a str, &'a str), &'a Claim<'a>>,
    sources: HashMap<&'a Address, &'a Claim<'a>>,
    destinations: HashMap<&'a Address, Holders<'a>>,
}

/// The winners of one destination. Several only if each of them shares it.
struct Holders<'a> {
    oldest: &'a Claim<'a>,
    count: usize,
}

impl<'a> Taken<'a> {
    fn conflict(&self, claim: &Claim<'_>) -> Option<Conflict> {
        let config = claim.config;
        let lost = |reason, claimed: &str, winner: &Claim<'_>| {
            let (claimed, is_older) = (claimed.to_owned(), winner.created != claim.created);
            Some(Conflict { reason, claimed, winner: winner.config.qualified_name(), is_older })
        };
        if let Some(winner) = self.names.get(&(config.namespace.as_str(), config.name.as_str())) {
            return lost(ConflictReason::NameTaken, &config.qualified_name(), winner);
        }
        if let Some(winner) = self.sources.get(&config.source) {
            return lost(ConflictReason::SourceTaken, config.source.as_str(), winner);
        }
        config.destinations.iter().find_map(|destination| {
            let Holders { oldest, count } = self.destinations.get(destination)?;
            if !(config.shared_destination && oldest.config.shared_destination) {
                lost(ConflictReason::DestinationTaken, destination.as_str(), oldest)
            } else if *count >= SHARED_DESTINATION_CHANNELS_MAX {
                lost(ConflictReason::DestinationFull, destination.as_str(), oldest)
            } else {
                None
            }
        })
    }

    fn add(&mut self, claim: &'a Claim<'a>) {
        let config = claim.config;
        self.names.insert((&config.namespace, &config.name), claim);
        self.sources.insert(&config.source, claim);
        for destination in &config.destinations {
            self.destinations.entry(destination).or_insert(Holders { oldest: claim, count: 0 }).count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn config(uid: u128, name: &str, destination: &str, source: &str) -> ChannelConfig {
        ChannelConfig {
            destinations: [Address::new("acme", destination).unwrap()].into(),
            ..ChannelConfig::new(Uuid::from_u128(uid), "acme", name, Address::new("acme", source).unwrap())
        }
    }

    fn claim(config: &ChannelConfig, second: Option<i64>) -> Claim<'_> {
        Claim { config, created: second.map(|second| Timestamp::from_second(second).unwrap()) }
    }

    fn reasons(claims: &[Claim<'_>]) -> Vec<Option<ConflictReason>> {
        resolve(claims).into_iter().map(|result| result.map(|conflict| conflict.reason)).collect()
    }

    #[test]
    fn the_older_channel_wins_in_any_order_of_claims() {
        let (old, young) = (config(2, "old", "a", "x"), config(1, "young", "b", "x"));
        let taken = Some(ConflictReason::SourceTaken);
        assert_eq!(reasons(&[claim(&old, Some(1)), claim(&young, Some(2))]), [None, taken]);
        assert_eq!(reasons(&[claim(&young, Some(2)), claim(&old, Some(1))]), [taken, None]);
    }

    #[test]
    fn a_channel_without_a_creation_time_is_the_youngest() {
        let (aged, ageless) = (config(2, "aged", "a", "x"), config(1, "ageless", "b", "x"));
        let results = reasons(&[claim(&ageless, None), claim(&aged, Some(2))]);
        assert_eq!(results, [Some(ConflictReason::SourceTaken), None]);
    }

    #[test]
    fn of_two_channels_created_in_one_second_the_smaller_uid_wins() {
        let (small, large) = (config(1, "small", "a", "x"), config(2, "large", "a", "y"));
        let results = resolve(&[claim(&large, Some(1)), claim(&small, Some(1))]);
        let lost = results[0].as_ref().unwrap();
        assert_eq!((lost.reason, lost.winner.as_str()), (ConflictReason::DestinationTaken, "acme/small"));
        let expected = "destination acme/a is taken by MessageChannel acme/small, which was created in the same second and has the \
                    smaller UID: ";
        assert!(lost.to_string().starts_with(expected), "{lost}");
        assert_eq!(results[1], None);
        let lost = resolve(&[claim(&small, Some(2)), claim(&large, Some(1))]).remove(0).unwrap();
        let expected = "destination acme/a is taken by the older MessageChannel acme/large: ";
        assert!(lost.to_string().starts_with(expected), "{lost}");
    }

    #[test]
    fn a_losing_channel_takes_no_address() {
        let first = config(1, "first", "a", "x");
        let loser = config(2, "loser", "b", "x");
        let third = config(3, "third", "b", "z");
        let claims = [claim(&first, Some(1)), claim(&loser, Some(2)), claim(&third, Some(3))];
        assert_eq!(reasons(&claims), [None, Some(ConflictReason::SourceTaken), None]);
    }

    #[test]
    fn the_same_name_twice_is_a_conflict_even_under_one_uid() {
        let (one, again) = (config(1, "orders", "a", "x"), config(1, "orders", "b", "y"));
        let results = reasons(&[claim(&one, None), claim(&again, None)]);
        assert_eq!(results, [None, Some(ConflictReason::NameTaken)]);
    }

    #[test]
    fn a_destination_of_one_may_be_the_source_of_another() {
        let (there, back) = (config(1, "there", "left", "right"), config(2, "back", "right", "left"));
        assert_eq!(reasons(&[claim(&there, None), claim(&back, None)]), [None, None]);
    }

    fn shared(uid: u128, name: &str, destination: &str) -> ChannelConfig {
        ChannelConfig { shared_destination: true, ..config(uid, name, destination, name) }
    }

    #[test]
    fn a_destination_is_shared_only_if_all_its_channels_share_it() {
        let taken = Some(ConflictReason::DestinationTaken);
        let (one, two) = (shared(1, "one", "a"), shared(2, "two", "a"));
        let alone = config(3, "alone", "a", "alone");
        let both = [claim(&one, Some(1)), claim(&two, Some(2))];
        assert_eq!(reasons(&both), [None, None]);
        assert_eq!(reasons(&[both[0], both[1], claim(&alone, Some(3))]), [None, None, taken]);
        // The older one does not share, and has it for itself.
        assert_eq!(reasons(&[both[0], both[1], claim(&alone, Some(0))]), [taken, taken, None]);
    }

    #[test]
    fn the_youngest_finds_a_shared_destination_full_until_another_goes() {
        let most = SHARED_DESTINATION_CHANNELS_MAX as u128;
        let channels: Vec<_> = (0..=most).map(|number| shared(number, &format!("c{number}"), "a")).collect();
        // The youngest is given first: the order of the claims does not matter.
        let claims: Vec<_> =
            channels.iter().rev().map(|config| claim(config, Some(config.uid.as_u128() as i64))).collect();
        let results = resolve(&claims);
        let lost = results[0].as_ref().unwrap();
        assert_eq!((lost.reason, lost.winner.as_str()), (ConflictReason::DestinationFull, "acme/c0"));
        let expected =
            "destination acme/a is shared by 32 channels, the limit, among them MessageChannel acme/c0: ";
        assert!(lost.to_string().starts_with(expected), "{lost}");
        assert_eq!(results.iter().flatten().count(), 1);
        assert!(resolve(&claims[..claims.len() - 1]).iter().all(Option::is_none));
    }

    #[test]
    fn a_source_is_never_shared() {
        let (one, two) = (
            shared(1, "one", "a"),
            ChannelConfig { source: "acme/one".parse().unwrap(), ..shared(2, "two", "a") },
        );
        let results = reasons(&[claim(&one, Some(1)), claim(&two, Some(2))]);
        assert_eq!(results, [None, Some(ConflictReason::SourceTaken)]);
    }

    #[test]
    fn a_channel_that_loses_one_destination_takes_no_place_at_another() {
        let owner = config(0, "owner", "b", "owner");
        let mut loser = shared(1, "loser", "a");
        loser.destinations.push("acme/b".parse().unwrap());
        let alone = config(2, "alone", "a", "alone");
        let claims = [claim(&owner, Some(0)), claim(&loser, Some(1)), claim(&alone, Some(2))];
        assert_eq!(reasons(&claims), [None, Some(ConflictReason::DestinationTaken), None]);
    }
}
